"""`GET /status`, `/connections`, `/history`: a workspace at a glance."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from api.rest.answers import REFUSALS
from api.rest.callers import VIEWER, WorkspaceAsked, caller_of
from api.rest.finding import points_to
from api.rest.pages import BY_NAME, LIMIT_MAX, NEWEST_FIRST, PageQuery
from api.shapes.fields import Called
from api.shapes.overview import (
    ConnectionPage,
    HistoryPage,
    StatusOut,
    tell_connections,
    tell_overview,
)
from api.shapes.records import SHOWN as SHOWN_COLUMNS
from api.shapes.records import tell_line
from connectors.models import Connector, ConnectorStatus
from syncjobs.queries.overview import look_over, queued_within
from syncjobs.queries.records import lines_of

router = Router(tags=["overview"])
SHOWN = 20
DAYS = 7


class ConnectionQuery(PageQuery):
    limit: int = Field(LIMIT_MAX, ge=1, le=LIMIT_MAX, description="How many at most.")


class HistoryQuery(PageQuery):
    days: int = Field(DAYS, ge=1, le=3660, description="Queued within so many days.")
    connection_id: Called | None = Field(None, description="A connector's id or name.")


@router.get("/status", response={200: StatusOut, **REFUSALS}, auth=VIEWER)
def read_overview(request: HttpRequest, workspace: WorkspaceAsked = None) -> StatusOut:
    """What runs and how far it is, what waits and for what, the latest results, what is due next, and the
    configuration without its secrets."""
    of = caller_of(request).workspace
    return tell_overview(of, look_over(of, most=SHOWN))


@router.get("/connections", response={200: ConnectionPage, **REFUSALS}, auth=VIEWER)
def list_connections(
    request: HttpRequest,
    query: Annotated[ConnectionQuery, Query()],
    workspace: WorkspaceAsked = None,
) -> ConnectionPage:
    """The connectors that are not paused, by name."""
    rows = Connector.objects.filter(
        workspace=caller_of(request).workspace, status=ConnectorStatus.ACTIVE
    )
    found, following = BY_NAME.take(rows, query)
    return ConnectionPage(items=tell_connections(found), next=following)


@router.get("/history", response={200: HistoryPage, **REFUSALS}, auth=VIEWER)
def list_history(
    request: HttpRequest,
    query: Annotated[HistoryQuery, Query()],
    workspace: WorkspaceAsked = None,
) -> dict[str, Any]:
    """What was synced lately, the newest first: files, bytes and durations."""
    owner = caller_of(request).workspace
    rows = lines_of(owner, SHOWN_COLUMNS).filter(queued_within(query.days))
    if query.connection_id is not None:
        rows = rows.filter(points_to(Connector, owner, query.connection_id))
    found, following = NEWEST_FIRST.take(rows, query)
    items = [{**tell_line(row), "duration_s": row.worked_s} for row in found]
    return {"items": items, "next": following}
