"""`GET /status`, `/connections`, `/history`: a workspace at a glance."""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from api.rest.answers import REFUSALS
from api.rest.callers import VIEWER, WorkspaceAsked, caller_of
from api.rest.finding import points_to
from api.rest.pages import BY_NAME, LIMIT_MAX, NEWEST_FIRST, PageQuery
from api.shapes.answers import Told
from api.shapes.fields import Called
from api.shapes.overview import (
    ConnectionOut,
    ConnectionPage,
    EndedOut,
    HistoryPage,
    RunningOut,
    StatusOut,
    WaitingOut,
    duration_s_of,
    tell_configuration,
)
from api.shapes.records import SHOWN as SHOWN_COLUMNS
from api.shapes.records import tell_line
from connectors.models import Connector, ConnectorStatus
from syncjobs.models import SyncRecord
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
def read_overview(request: HttpRequest, workspace: WorkspaceAsked = None) -> dict[str, Any]:
    """What runs and how far it is, what waits and for what, the latest results, what is due next, and the
    configuration without its secrets."""
    of = caller_of(request).workspace
    seen = look_over(of, most=SHOWN)
    status = "running" if seen.running_count else "waiting" if seen.waiting_count else "idle"
    return {
        "workspace": of.name,
        "status": status,
        "running_count": seen.running_count,
        "queued_count": seen.waiting_count,
        "held_count": seen.held_count,
        "running": _tell_all(seen.running, RunningOut),
        "queued": _tell_all(seen.waiting, WaitingOut),
        "last_results": _tell_all(seen.ended, EndedOut),
        "next_due": [
            {"job": job, "connector": connector, "next_run_at": at}
            for job, connector, at in seen.due_next.values_list(
                "name", "connector__name", "next_run_at"
            )
        ],
        "configuration": tell_configuration(),
    }


@router.get("/connections", response={200: ConnectionPage, **REFUSALS}, auth=VIEWER)
def list_connections(
    request: HttpRequest,
    query: Annotated[ConnectionQuery, Query()],
    workspace: WorkspaceAsked = None,
) -> dict[str, Any]:
    """The active connectors, by name."""
    rows = Connector.objects.filter(
        workspace=caller_of(request).workspace, status=ConnectorStatus.ACTIVE
    )
    found, following = BY_NAME.take(rows, query)
    items = [{name: getattr(row, name) for name in ConnectionOut.model_fields} for row in found]
    return {"items": items, "next": following}


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
    items = [{**tell_line(row), "duration_s": duration_s_of(row)} for row in found]
    return {"items": items, "next": following}


def _tell_all(records: QuerySet[SyncRecord], shape: type[Told]) -> list[dict[str, Any]]:
    """Fills `shape` for each row, in one query without instances."""
    plain = [name for name in shape.model_fields if name not in ("job", "connector", "duration_s")]
    needed = dict.fromkeys([*plain, "started_at", "finished_at", "job__name", "connector__name"])
    lines = records.values_list(*needed, named=True)
    return [
        {
            **line._asdict(),
            "job": line.job__name,
            "connector": line.connector__name,
            "duration_s": duration_s_of(line),
        }
        for line in lines
    ]
