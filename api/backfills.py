"""`/api/workspaces/{workspace}/backfills`: fires of the past that get a record each, some at a time."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from ninja import Path, Query, Router, Status
from pydantic import Field, StrictBool, StrictInt

from api.answers import Refused, Told
from api.callers import OPERATOR, VIEWER, caller_of
from api.finding import Called, need_id, points_to
from api.job_shapes import BodyShape
from api.jobs import REFUSALS, WorkspaceIn, get_job
from api.moments import Moment
from api.pages import LAST_MADE_FIRST, PageQuery
from syncjobs.models import PARALLEL_MAX, Backfill, BackfillState, SyncJob, SyncMode
from syncjobs.queries.backfills import BackfillProgress, load_progress
from syncjobs.queueing.backfilling import (
    NoFires,
    TooManyFires,
    cancel_backfill,
    request_backfill,
)
from timing.clock import database_now
from workspaces.models import Workspace

router = Router(tags=["backfills"])
BackfillIn = Annotated[uuid.UUID, Path(description="The backfill's id.")]


class BackfillNew(BodyShape):
    job: Called = Field(description="The job's id or name.")
    since: Moment = Field(description="From this fire of its schedule on.")
    until: Moment | None = Field(None, description="To this fire, included; without: until now.")
    parallel: StrictInt = Field(
        1, ge=1, le=PARALLEL_MAX, description="Its records that wait and run at once."
    )
    full: StrictBool = Field(False, description="Trust no metadata in any of them.")


class BackfillOut(Told):
    """A backfill, and how far it is."""

    id: uuid.UUID
    job: str = Field(description="The job's name.")
    job_id: uuid.UUID
    state: BackfillState
    trigger: str = Field(description="`backfill`, or `schedule` where a job catches up by itself.")
    since: datetime = Field(description="The first fire.")
    until: datetime = Field(description="The last one.")
    parallel: int
    mode: SyncMode
    fires: int = Field(description="In all.")
    ended: int = Field(description="Fires that need nothing more.")
    percentage: float
    records: dict[str, int] = Field(description="How many of its records are in which state.")
    waits_for_person: bool = Field(
        description="Nothing goes on before somebody releases or cancels."
    )
    requested_by: str
    created_at: datetime
    finished_at: datetime | None


class BackfillPage(Told):
    items: list[BackfillOut]
    next: str | None


class BackfillQuery(PageQuery):
    job: Called | None = Field(None, description="A job's id or name.")
    state: BackfillState | None = None


@router.get("", response={200: BackfillPage, **REFUSALS}, auth=VIEWER)
def list_backfills(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[BackfillQuery, Query()]
) -> dict[str, Any]:
    """The newest first."""
    owner = caller_of(request).workspace
    rows = _backfills_of(owner)
    if query.job is not None:
        rows = rows.filter(points_to(SyncJob, owner, query.job))
    if query.state is not None:
        rows = rows.filter(state=query.state)
    found, following = LAST_MADE_FIRST.take(rows, query)
    return {"items": [_tell(progress) for progress in load_progress(found)], "next": following}


@router.post("", response={202: BackfillOut, **REFUSALS}, auth=OPERATOR)
def create_backfill(
    request: HttpRequest, workspace: WorkspaceIn, body: BackfillNew
) -> Status[dict[str, Any]]:
    """Each fire of the range gets a record of its own, whether or not it was served then."""
    try:
        made = request_backfill(
            get_job(request, body.job),
            body.since,
            body.until or database_now(),
            parallel=body.parallel,
            mode=SyncMode.FULL if body.full else None,
            by=caller_of(request).name,
        )
    except (NoFires, TooManyFires) as exc:
        errors = {"since": [str(exc)]}
        raise Refused(HTTPStatus.BAD_REQUEST, capfirst(f"{exc}."), errors=errors) from None
    return Status(202, _reread(request, made.pk))


@router.get("/{backfill_id}", response={200: BackfillOut, **REFUSALS}, auth=VIEWER)
def read_backfill(
    request: HttpRequest, workspace: WorkspaceIn, backfill_id: BackfillIn
) -> dict[str, Any]:
    return _reread(request, backfill_id)


@router.post("/{backfill_id}/cancel", response={202: BackfillOut, **REFUSALS}, auth=OPERATOR)
def stop_backfill(
    request: HttpRequest, workspace: WorkspaceIn, backfill_id: BackfillIn
) -> Status[dict[str, Any]]:
    """No further record of it is queued, and those that wait or run are asked to end; one that has ended stays as
    it is."""
    cancel_backfill(_get(request, backfill_id), by=caller_of(request).name)
    return Status(202, _reread(request, backfill_id))


def _backfills_of(workspace: Workspace) -> QuerySet[Backfill]:
    return Backfill.objects.filter(workspace=workspace).select_related("job")


def _get(request: HttpRequest, backfill_id: uuid.UUID) -> Backfill:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_id(_backfills_of(owner), owner, backfill_id, "backfill")


def _reread(request: HttpRequest, backfill_id: uuid.UUID) -> dict[str, Any]:
    (progress,) = load_progress([_get(request, backfill_id)])
    return _tell(progress)


def _tell(progress: BackfillProgress) -> dict[str, Any]:
    row = progress.backfill
    names = (
        "id job_id state trigger since until parallel mode fires requested_by created_at"
        " finished_at"
    )
    return {name: getattr(row, name) for name in names.split()} | {
        "job": row.job.name,
        "ended": progress.ended,
        "percentage": progress.percentage,
        "records": progress.states,
        "waits_for_person": progress.waits_for_person,
    }
