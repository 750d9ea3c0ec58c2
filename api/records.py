"""`/api/workspaces/{workspace}/sync-records`: what runs, and what ran."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Path, Query, Router, Status
from pydantic import Field

from api.answers import Problem, Refused, Told
from api.callers import OPERATOR, VIEWER, caller_of
from api.finding import Called, need_id, points_to
from api.moments import Moment
from api.pages import NEWEST_FIRST, PageQuery
from connectors.models import Connector
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.retrying import NothingToRetry, retry
from syncjobs.records.approving import AlreadyApplied, NoPlan
from syncjobs.records.cancelling import cancel
from syncjobs.records.releasing import release
from syncjobs.records.transition import IllegalMove
from workspaces.models import Workspace

router = Router(tags=["sync records"])
REFUSALS = {frozenset({400, 401, 403, 404}): Problem}
CONFLICTS = {frozenset({400, 401, 403, 404, 409}): Problem}


class RecordOut(Told):
    """One execution of a sync job."""

    id: uuid.UUID
    job: str = Field(description="The job's name.")
    job_id: uuid.UUID
    connector: str = Field(description="The connector's name.")
    connector_id: uuid.UUID
    trigger: str
    scheduled_for: datetime | None
    backfill_id: uuid.UUID | None
    mode: str
    dry_run: bool
    state: State
    verdict: str = Field(description="The rule that decided last.")
    stage: str
    percentage: float
    current_file_index: int
    total_files: int | None
    files_added: int
    files_changed: int
    files_removed: int
    files_unchanged: int
    files_failed: int
    files_skipped: int
    files_deferred: int
    bytes_transferred: int
    attempt: int
    heartbeat_at: datetime | None
    expected_duration_s: float | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    error_code: str
    warning: str
    waiting_for: str
    dataset_version: int | None


class RecordPage(Told):
    items: list[RecordOut]
    next: str | None


class RecordQuery(PageQuery):
    job: Called | None = Field(None, description="A job's id or name.")
    connector: Called | None = Field(None, description="A connector's id or name.")
    state: State | None = None
    since: Moment | None = Field(None, description="Queued then or later.")
    until: Moment | None = Field(None, description="Queued before.")


# The rest of a record's columns is for its worker; they are long, and many.
_SHOWN = [
    name
    for name in RecordOut.model_fields
    if name not in ("job", "connector", "job_id", "connector_id", "backfill_id")
]


@router.get("", response={200: RecordPage, **REFUSALS}, auth=VIEWER)
def list_records(
    request: HttpRequest,
    workspace: Annotated[str, Path()],
    query: Annotated[RecordQuery, Query()],
) -> dict[str, Any]:
    """The newest first."""
    owner = caller_of(request).workspace
    rows = lines_of(owner)
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
    request: HttpRequest, workspace: Annotated[str, Path()], record_id: uuid.UUID
) -> dict[str, Any]:
    return tell_record(get_record(request, record_id))


@router.post("/{record_id}/cancel", response={202: RecordOut, **REFUSALS}, auth=OPERATOR)
def cancel_record(
    request: HttpRequest, workspace: Annotated[str, Path()], record_id: uuid.UUID
) -> Status[dict[str, Any]]:
    """Asks it to end. A running one does so within seconds; one that has ended stays as it is."""
    record = get_record(request, record_id)
    cancel(record.pk, by=caller_of(request).name)
    return Status(202, tell_record(get_record(request, record_id)))


@router.post("/{record_id}/retry", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def retry_record(
    request: HttpRequest, workspace: Annotated[str, Path()], record_id: uuid.UUID
) -> Status[dict[str, Any]]:
    """Does it again, as a new record, where it failed, timed out, was cancelled or is partial. The problem of a
    409 has the record that is in the way as `record`."""
    record = get_record(request, record_id)
    try:
        again = retry(record, by=caller_of(request).name)
    except NothingToRetry as exc:
        raise Refused(HTTPStatus.CONFLICT, str(exc), more=_in_the_way(record)) from None
    except NoPlan as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    except (AlreadyQueued, JobBusy, WorkspaceBusy, AlreadyApplied) as exc:
        raise conflict(str(exc), exc.record) from None
    return Status(202, tell_record(get_record(request, again.pk)))


@router.post("/{record_id}/release", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR)
def release_record(
    request: HttpRequest, workspace: Annotated[str, Path()], record_id: uuid.UUID
) -> Status[dict[str, Any]]:
    """Lets a held one go on: what its guard stopped is done."""
    record = get_record(request, record_id)
    try:
        done = release(record.pk, by=caller_of(request).name)
    except IllegalMove:
        done = False
    record = get_record(request, record_id)
    if not done:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"It is {record.state}, not held: there is nothing to release.",
            more=_in_the_way(record),
        )
    return Status(202, tell_record(record))


def conflict(words: str, record: SyncRecord) -> Refused:
    """Something else is at work; the problem tells that record and its progress."""
    return Refused(
        HTTPStatus.CONFLICT,
        f"{words}: wait for record {record.pk}, or cancel it.",
        more=_in_the_way(reread(record)),
    )


def _in_the_way(record: SyncRecord) -> dict[str, Any]:
    return {"record": RecordOut(**tell_record(record)).model_dump(mode="json")}


def reread(record: SyncRecord) -> SyncRecord:
    """As it is now, with its job and connector."""
    return SyncRecord.objects.select_related("job", "connector").get(pk=record.pk)


def records_of(workspace: Workspace) -> QuerySet[SyncRecord]:
    return (
        SyncRecord.objects.filter(workspace=workspace)
        .select_related("job", "connector")
        .only("job__name", "connector__name", "backfill_id", *_SHOWN)
    )


def lines_of(workspace: Workspace) -> QuerySet[SyncRecord, Any]:
    """For lists: a named tuple for `tell_line` costs a third of an instance with its job and connector."""
    return SyncRecord.objects.filter(workspace=workspace).values_list(
        "pk", *_SHOWN, "job_id", "connector_id", "backfill_id", "job__name", "connector__name",
        named=True,
    )  # fmt: skip


def tell_line(line: Any) -> dict[str, Any]:
    """As `RecordOut` has it; `line` of `lines_of`."""
    return {**line._asdict(), "job": line.job__name, "connector": line.connector__name}


def get_record(request: HttpRequest, record_id: uuid.UUID) -> SyncRecord:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_id(records_of(owner), owner, record_id, "sync record")


def tell_record(record: SyncRecord) -> dict[str, Any]:
    """As `RecordOut` has it; `record` with its job and connector."""
    return {
        "job": record.job.name,
        "job_id": record.job_id,
        "connector": record.connector.name,
        "connector_id": record.connector_id,
        "backfill_id": record.backfill_id,
        **{name: getattr(record, name) for name in _SHOWN},
    }
