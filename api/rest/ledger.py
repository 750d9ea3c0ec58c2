"""`…/sync-records/{record_id}/items`: what a record did with each file."""

from __future__ import annotations

import uuid
from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router

from api.rest.answers import REFUSALS
from api.rest.callers import VIEWER
from api.rest.finding import WorkspaceIn
from api.rest.numbered import NumberedQuery, take_numbered
from api.rest.records import get_record
from api.shapes.ledger import ItemPage, tell_item
from syncjobs.models import ItemAction, SyncItem

router = Router(tags=["sync records"])


class ItemQuery(NumberedQuery):
    action: ItemAction | None = None


@router.get("/{record_id}/items", response={200: ItemPage, **REFUSALS}, auth=VIEWER)
def list_items(
    request: HttpRequest,
    workspace: WorkspaceIn,
    record_id: uuid.UUID,
    query: Annotated[ItemQuery, Query()],
) -> ItemPage:
    """Lists items in the order in which they were written. Files that are as they were have no row."""
    rows = SyncItem.objects.filter(record_id=get_record(request, record_id).pk)
    if query.action is not None:
        rows = rows.filter(action=query.action)
    found, following = take_numbered(rows, query, "id")
    return ItemPage(items=[tell_item(item) for item in found], next=following)
