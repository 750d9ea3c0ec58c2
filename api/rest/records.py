"""`/api/workspaces/{workspace}/sync-records`: what runs, and what ran."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Status
from pydantic import Field

from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import OPERATOR, VIEWER, caller_of
from api.rest.conflicts import conflict_with
from api.rest.finding import WorkspaceIn, need_id, points_to
from api.rest.pages import NEWEST_FIRST, PageQuery
from api.shapes.conflicts import tell_in_the_way
from api.shapes.fields import Called, Moment
from api.shapes.records import (
    SHOWN,
    RecordOut,
    RecordPage,
    ReleaseIn,
    RetryIn,
    tell_line,
    tell_record,
)
from connectors.models import Connector
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queries.records import lines_of, syncs_and_plans_of
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import NothingToRetry, retry, retry_failed
from syncjobs.records.asking import (
    AlreadyApplied,
    AnswerNeeded,
    ConnectorPaused,
    NoPlan,
    approve,
    cancel,
    release,
)
from syncjobs.records.transition import IllegalMove

router = Router(tags=["sync records"])


class RecordQuery(PageQuery):
    job: Called | None = Field(None, description="A job's id or name.")
    connector: Called | None = Field(None, description="A connector's id or name.")
    state: State | None = None
    since: Moment | None = Field(None, description="Queued then or later.")
    until: Moment | None = Field(None, description="Queued before.")
    dry_run: bool = Field(
        False, description="True: dry runs, which are no syncs; else syncs alone."
    )


@router.get("", response={200: RecordPage, **REFUSALS}, auth=VIEWER)
def list_records(
    request: HttpRequest,
    workspace: WorkspaceIn,
    query: Annotated[RecordQuery, Query()],
) -> dict[str, Any]:
    """The newest first."""
    owner = caller_of(request).workspace
    rows = lines_of(owner, SHOWN, plans=query.dry_run)
    if query.job is not None:
        rows = rows.filter(points_to(SyncJob, owner, query.job))
    if query.connector is not None:
        rows = rows.filter(points_to(Connector, owner, query.connector))
    if query.state is not None:
        rows = rows.filter(state=query.state)
    if query.since is not None:
        rows = rows.filter(queued_at__gte=query.since)
    if query.until is not None:
        rows = rows.filter(queued_at__lt=query.until)
    found, following = NEWEST_FIRST.take(rows, query)
    return {"items": [tell_line(row) for row in found], "next": following}


@router.get("/{record_id}", response={200: RecordOut, **REFUSALS}, auth=VIEWER)
def read_record(
    request: HttpRequest, workspace: WorkspaceIn, record_id: uuid.UUID
) -> dict[str, Any]:
    return tell_record(get_record(request, record_id))


@router.post("/{record_id}/cancel", response={202: RecordOut, **REFUSALS}, auth=OPERATOR)
def cancel_record(
    request: HttpRequest, workspace: WorkspaceIn, record_id: uuid.UUID
) -> Status[dict[str, Any]]:
    """Asks it to end. A running one does so within seconds; one that has ended stays as it is."""
    record = get_record(request, record_id)
    cancel(record.pk, by=caller_of(request).name)
    return Status(202, tell_record(get_record(request, record_id)))


@router.post("/{record_id}/retry", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def retry_record(
    request: HttpRequest,
    workspace: WorkspaceIn,
    record_id: uuid.UUID,
    body: RetryIn | None = None,
) -> Status[dict[str, Any]]:
    """Does it again, as a new record, where it failed, timed out, was cancelled or is partial. The problem of a
    409 has the record that is in the way as `record`."""
    record = get_record(request, record_id)
    try:
        begin = retry_failed if body is not None and body.failed_only else retry
        again = begin(record, by=caller_of(request).name)
    except NothingToRetry as exc:
        raise Refused(HTTPStatus.CONFLICT, str(exc), more=tell_in_the_way(record)) from None
    except (NoPlan, ConnectorPaused) as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    except (AlreadyQueued, JobBusy, WorkspaceBusy, AlreadyApplied) as exc:
        raise conflict_with(str(exc), exc.record) from None
    return Status(202, tell_record(get_record(request, again.pk)))


@router.post("/{record_id}/release", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def release_record(
    request: HttpRequest,
    workspace: WorkspaceIn,
    record_id: uuid.UUID,
    body: ReleaseIn | None = None,
) -> Status[dict[str, Any]]:
    """Lets a held one go on: what its guard stopped is done."""
    record = get_record(request, record_id)
    answer = None if body is None else body.schema_changes
    try:
        done = release(record.pk, by=caller_of(request).name, schema_changes=answer)
    except AnswerNeeded as exc:
        raise conflict_with(str(exc), record) from None
    except IllegalMove:
        done = False
    record = get_record(request, record_id)
    if not done:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"It is {record.state}, not held: there is nothing to release.",
            more=tell_in_the_way(record),
        )
    return Status(202, tell_record(record))


@router.post("/{record_id}/approve", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def approve_plan(
    request: HttpRequest, workspace: WorkspaceIn, record_id: uuid.UUID
) -> Status[dict[str, Any]]:
    """Does what the plan of a dry run says, as a new record. Where anything differs by then, nothing is done, and the
    record fails with `plan_drifted`; of rows this is so for each table. The approval covers the guard that the plan
    showed."""
    plan = get_record(request, record_id)
    try:
        made = approve(plan, by=caller_of(request).name)
    except (NoPlan, ConnectorPaused) as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    except AlreadyApplied as exc:
        raise conflict_with(str(exc), exc.record) from None
    return Status(202, tell_record(get_record(request, made.pk)))


def get_record(request: HttpRequest, record_id: uuid.UUID) -> SyncRecord:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_id(syncs_and_plans_of(owner, SHOWN), owner, record_id, "sync record")
