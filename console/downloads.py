"""Sends a held file to a person's disk. The browser never shows it: it may be anything."""

from __future__ import annotations

from django.http import StreamingHttpResponse

from connectors.attachments import attachment_fields
from datasets.models import Dataset, Entry
from datasets.store import open_store
from workspaces.places import hold_download


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
