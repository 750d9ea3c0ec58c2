"""Sends held files to a person's disk, alone or as a ZIP. A browser shows none of them but pictures and PDFs, which may
reach and run nothing."""

from __future__ import annotations

from contextlib import closing

from django.http import StreamingHttpResponse

from connectors.attachments import attachment_fields
from console.previews import SHOWN_BYTES_MAX, find_content_type
from datasets.archives import Archive, name_archive
from datasets.models import Dataset, Entry, Version
from datasets.store import open_store
from workspaces.places import SENT_AT_ONCE, hold_download

_BEGINNING = 16  # bytes that tell a picture or a PDF


def download(dataset: Dataset, entry: Entry) -> StreamingHttpResponse:
    """Every byte is proved before it is sent; where one is damaged, the connection breaks before it. Raises
    StoreError, such as BlobMissing, OSError, and NoPlace."""
    blob = open_store(dataset.workspace_id).open_checked(bytes(entry.sha256))
    response = StreamingHttpResponse(
        hold_download(blob.part(), blob.size_bytes, dataset.workspace_id)
    )
    response.headers["Content-Length"] = str(blob.size_bytes)
    for name, value in attachment_fields(entry.path).items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "private, no-store"
    return response


def show_inline(dataset: Dataset, entry: Entry) -> StreamingHttpResponse | None:
    """The file, for the browser to draw; None where its first bytes are not those of a picture or a PDF. Raises what `download`
    raises."""
    if entry.size_bytes > SHOWN_BYTES_MAX:
        return None
    kind = find_content_type(_read_beginning(dataset, entry))
    if not kind:
        return None
    response = download(dataset, entry)
    response.headers["Content-Type"] = kind
    name = response.headers["Content-Disposition"]
    response.headers["Content-Disposition"] = name.replace("attachment", "inline", 1)
    return response


def _read_beginning(dataset: Dataset, entry: Entry) -> bytes:
    blob = open_store(dataset.workspace_id).open_checked(bytes(entry.sha256))
    with closing(blob), closing(blob.part()) as pieces:
        return bytes(next(pieces, b""))[:_BEGINNING]


def send_archive(version: Version, prefix: str) -> StreamingHttpResponse:
    """Raises NothingHeld, StoreError, OSError, and NoPlace."""
    archive = Archive(version, prefix)
    size_bytes = max(version.size_bytes, SENT_AT_ONCE + 1)
    response = StreamingHttpResponse(
        hold_download(archive, size_bytes, version.dataset.workspace_id)
    )
    fields = attachment_fields(name_archive(version, prefix), "application/zip")
    for name, value in fields.items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "private, no-store"
    return response
