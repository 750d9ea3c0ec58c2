"""`…/sync-records/{record_id}/items`: what a record did with each file."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from pydantic import Field

from api.callers import VIEWER
from api.numbered import NumberedQuery, take_numbered
from api.records import REFUSALS, get_record
from syncjobs.models import ItemAction, SyncItem

router = Router(tags=["sync records"])


class ItemOut(Schema):
    """What a record did with one file; of a dry run, what it would do."""

    id: int
    path: str = Field(
        description="Below the root. A byte 0xNN that is no UTF-8 stands as the character U+F00NN."
    )
    action: ItemAction
    size_bytes: int | None
    sha256: str | None = Field(description="In hexadecimal.")
    error_code: str
    message: str


class ItemPage(Schema):
    items: list[ItemOut]
    next: str | None


class ItemQuery(NumberedQuery):
    action: ItemAction | None = None


@router.get("/{record_id}/items", response={200: ItemPage, **REFUSALS}, auth=VIEWER)
def list_items(
    request: HttpRequest,
    workspace: Annotated[str, Path()],
    record_id: uuid.UUID,
    query: Annotated[ItemQuery, Query()],
) -> dict[str, Any]:
    """In the order in which they were written down. Files that are as they were have no row."""
    rows = SyncItem.objects.filter(record_id=get_record(request, record_id).pk)
    if query.action is not None:
        rows = rows.filter(action=query.action)
    found, following = take_numbered(rows, query, "id")
    return {"items": [_tell(item) for item in found], "next": following}


def _tell(item: SyncItem) -> dict[str, Any]:
    plain = ("id", "path", "action", "size_bytes", "error_code", "message")
    return {name: getattr(item, name) for name in plain} | {
        "sha256": None if item.sha256 is None else bytes(item.sha256).hex()
    }
