"""`…/datasets/{dataset}/files/{path}`: a held file, whole or in part (RFC 9110 §13, §14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import register_converter
from django.utils.cache import get_conditional_response
from ninja import Path, Query, Router

from api.rest.answers import Refused, not_found, problem
from api.rest.callers import VIEWER
from api.rest.datasets import DatasetIn, get_dataset, need_kind, need_version
from api.rest.finding import WorkspaceIn
from api.shapes.answers import Problem
from api.shapes.contents import PATH
from api.shapes.datasets import NUMBER_MAX
from connectors.attachments import attachment_fields
from datasets.models import Dataset, DatasetKind, Entry
from datasets.reading import find_entries, open_entry
from store.checked import CheckedBlob
from store.errors import StoreError
from workspaces.places import RETRY_S, NoPlace, hold_download

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)

router = Router(tags=["datasets"])


class _StoredPath:
    """With slashes, and with the line ends that names of files may have."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(_StoredPath, "stored")

PathIn = Annotated[str, Path(pattern=r"^[^\x00]+$", description=PATH)]
VersionIn = Annotated[
    int | None,
    Query(ge=1, le=NUMBER_MAX, description="A version's number; the current one where left out."),
]
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_RESPONSES: Any = {
    200: None,
    206: None,
    304: None,
    frozenset({400, 401, 403, 404, 409, 410, 412, 416, 429, 503}): Problem,
}


def _fields(*names: str) -> list[dict[str, Any]]:
    return [
        {"in": "header", "name": name, "required": False, "schema": {"type": "string"}}
        for name in names
    ]


_OPENAPI = {
    "parameters": _fields("Range", "If-Range", "If-None-Match", "If-Match"),
    "responses": {200: {"content": _BYTES}, 206: {"content": _BYTES}},
}


@router.get(
    "/{dataset}/files/{stored:path}", response=_RESPONSES, auth=VIEWER, openapi_extra=_OPENAPI
)
def read_file(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    path: PathIn,
    version: VersionIn = None,
) -> HttpResponseBase:
    """Sends the file's bytes as an attachment. The ETag is the SHA-256. A `Range` with a single range is obeyed; for several the
    whole file comes."""
    return _answer(request, get_dataset(request, dataset), path, version)


@router.api_operation(
    ["HEAD"],
    "/{dataset}/files/{stored:path}",
    response=_RESPONSES,
    auth=VIEWER,
    openapi_extra={"parameters": _fields("If-None-Match", "If-Match")},
)
def head_file(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    path: PathIn,
    version: VersionIn = None,
) -> HttpResponseBase:
    """What GET says of it, without its bytes."""
    return _answer(request, get_dataset(request, dataset), path, version)


def _answer(
    request: HttpRequest, dataset: Dataset, path: str, number: int | None
) -> HttpResponseBase:
    """Raises Refused."""
    need_kind(dataset, DatasetKind.FILES)
    version = need_version(dataset, number)
    entry = find_entries(dataset, version.number).filter(path=path).first()
    if entry is None:
        raise not_found("file")
    etag = f'"{bytes(entry.sha256).hex()}"'
    settled = get_conditional_response(request, etag=etag)
    if settled is not None:
        return _settled(settled, etag)
    try:
        blob = open_entry(dataset, entry)
        return _respond(request, dataset, entry, etag, blob)
    except (StoreError, OSError) as exc:
        words = f"This file cannot be read: {exc}."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None


def _settled(response: HttpResponseBase, etag: str) -> HttpResponseBase:
    """Answers by the request's conditions alone."""
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        return problem(Refused(HTTPStatus.PRECONDITION_FAILED, "The file is another by now."))
    unchanged = HttpResponse(status=response.status_code)
    unchanged.headers["ETag"] = etag
    return unchanged


def hold_pieces(pieces: Iterator[bytes], size_bytes: int, workspace_id: UUID) -> Iterator[bytes]:
    """Raises Refused."""
    try:
        return hold_download(pieces, size_bytes, workspace_id)
    except NoPlace as full:
        status = HTTPStatus.TOO_MANY_REQUESTS if full.ours else HTTPStatus.SERVICE_UNAVAILABLE
        whose = " of this workspace" if full.ours else ""
        words = f"{full.most} downloads{whose} are under way: try again when one has ended."
        raise Refused(status, words, retry_after_s=RETRY_S) from None


def _respond(
    request: HttpRequest, dataset: Dataset, entry: Entry, etag: str, blob: CheckedBlob
) -> HttpResponseBase:
    """Every byte is proved before it is sent. Where one that comes later is damaged, the connection breaks
    before it. Raises StoreError, OSError."""
    size_bytes = entry.size_bytes
    part = _wanted_part(request, size_bytes, etag)
    if part is not None and part.start >= size_bytes:
        blob.close()
        words = f"The file has {size_bytes} bytes; none of them are in that range."
        refusal = problem(Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, words))
        refusal.headers["Content-Range"] = f"bytes */{size_bytes}"
        return refusal
    wanted = range(size_bytes) if part is None else part
    pieces: Iterator[bytes] = blob.part(wanted.start, wanted.stop)
    if request.method == "GET":
        pieces = hold_pieces(pieces, len(wanted), dataset.workspace_id)
    response = StreamingHttpResponse(pieces)
    if part is not None:
        response.status_code = HTTPStatus.PARTIAL_CONTENT
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size_bytes}"
    fields = attachment_fields(entry.path) | {
        "Content-Length": str(len(wanted)),
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",  # kept by who asks, and asked for again by its ETag
    }
    for name, value in fields.items():
        response.headers[name] = value
    return response


def _wanted_part(request: HttpRequest, size_bytes: int, etag: str) -> range | None:
    """None: the whole. What is no single range of bytes is ignored, as RFC 9110 §14.2 allows. A part that begins
    at the end or behind it cannot be sent."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    match = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if match is None or match[0].endswith("=-"):
        return None
    first, last = match.groups()
    if not first:
        start = max(0, size_bytes - int(last)) if int(last) else size_bytes
        return range(start, size_bytes) if size_bytes else None
    stop = min(int(last) + 1, size_bytes) if last else size_bytes
    if last and int(last) < int(first):
        return None
    return range(int(first), max(stop, int(first)))
