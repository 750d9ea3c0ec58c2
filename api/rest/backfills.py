"""`/api/workspaces/{workspace}/backfills`: fires of the past that get a record each, some at a time."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated

from django.http import HttpRequest
from django.utils.text import capfirst
from ninja import Path, Query, Router, Status
from pydantic import Field

from api.rest.answers import REFUSALS, Refused
from api.rest.callers import OPERATOR, VIEWER, caller_of
from api.rest.finding import WorkspaceIn, need_id
from api.rest.jobs import get_job
from api.rest.pages import LAST_MADE_FIRST, PageQuery
from api.shapes.backfills import BackfillNew, BackfillOut, BackfillPage, tell_backfill
from api.shapes.fields import Called
from syncjobs.models import Backfill, BackfillState, SyncMode
from syncjobs.queries.backfills import backfills_of, load_progress
from syncjobs.queueing.backfilling import (
    NoFires,
    TooManyFires,
    cancel_backfill,
    request_backfill,
)
from timing.clock import database_now

router = Router(tags=["backfills"])
BackfillIn = Annotated[uuid.UUID, Path(description="The backfill's id.")]


class BackfillQuery(PageQuery):
    job: Called | None = Field(None, description="A job's id or name.")
    state: BackfillState | None = None


@router.get("", response={200: BackfillPage, **REFUSALS}, auth=VIEWER)
def list_backfills(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[BackfillQuery, Query()]
) -> BackfillPage:
    """The newest first."""
    rows = backfills_of(caller_of(request).workspace, job=query.job, state=query.state)
    found, following = LAST_MADE_FIRST.take(rows, query)
    items = [tell_backfill(progress) for progress in load_progress(found)]
    return BackfillPage(items=items, next=following)


@router.post("", response={202: BackfillOut, **REFUSALS}, auth=OPERATOR)
def create_backfill(
    request: HttpRequest, workspace: WorkspaceIn, body: BackfillNew
) -> Status[BackfillOut]:
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
) -> BackfillOut:
    return _reread(request, backfill_id)


@router.post("/{backfill_id}/cancel", response={202: BackfillOut, **REFUSALS}, auth=OPERATOR)
def stop_backfill(
    request: HttpRequest, workspace: WorkspaceIn, backfill_id: BackfillIn
) -> Status[BackfillOut]:
    """No further record of it is queued, and those that wait or run are asked to end; one that has ended stays as
    it is."""
    cancel_backfill(_get(request, backfill_id), by=caller_of(request).name)
    return Status(202, _reread(request, backfill_id))


def _get(request: HttpRequest, backfill_id: uuid.UUID) -> Backfill:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_id(backfills_of(owner), owner, backfill_id, "backfill")


def _reread(request: HttpRequest, backfill_id: uuid.UUID) -> BackfillOut:
    (progress,) = load_progress([_get(request, backfill_id)])
    return tell_backfill(progress)
