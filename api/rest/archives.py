"""`…/datasets/{dataset}/versions/{number}/archive`: the files of a version in one ZIP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from ninja import Path, Query, Router, Schema
from pydantic import Field

from api.rest.answers import Refused, not_found
from api.rest.callers import VIEWER
from api.rest.datasets import DatasetIn, get_dataset, need_kind, need_version
from api.rest.files import hold_pieces
from api.rest.finding import WorkspaceIn
from api.shapes.answers import Problem
from api.shapes.datasets import NUMBER_MAX
from connectors.attachments import attachment_fields
from datasets.archives import Archive, NothingHeld, name_archive
from datasets.models import DatasetKind
from farends.names import PATH_BYTES_MAX
from store.errors import StoreError
from workspaces.places import SENT_AT_ONCE

router = Router(tags=["datasets"])
NumberOfVersion = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
_ZIP: Any = {
    "responses": {
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
    }
}
_RESPONSES: Any = {200: None, frozenset({400, 401, 403, 404, 409, 410, 429, 503}): Problem}


class ArchiveQuery(Schema):
    prefix: str = Field(
        "",
        max_length=PATH_BYTES_MAX,
        pattern=r"^[^\x00]*$",
        description="Only files whose path begins so, such as `reports/2026/`.",
    )


@router.get(
    "/{dataset}/versions/{number}/archive", response=_RESPONSES, auth=VIEWER, openapi_extra=_ZIP
)
def read_archive(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    number: NumberOfVersion,
    query: Annotated[ArchiveQuery, Query()],
) -> HttpResponseBase:
    """Sends a ZIP that is made while it is sent: its length is not told before. Names that some systems refuse are changed in
    it. If a file turns out to be damaged, the ZIP breaks off and does not open."""
    held = get_dataset(request, dataset)
    need_kind(held, DatasetKind.FILES)
    version = need_version(held, number)
    try:
        archive = Archive(version, query.prefix)
    except NothingHeld:
        raise not_found("file whose path begins so") from None
    except (StoreError, OSError) as exc:
        words = f"A file cannot be read: {exc}."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None
    pieces = hold_pieces(archive, max(version.size_bytes, SENT_AT_ONCE + 1), held.workspace_id)
    response = StreamingHttpResponse(pieces)
    fields = attachment_fields(name_archive(version, query.prefix), "application/zip")
    for name, value in fields.items():
        response.headers[name] = value
    return response
