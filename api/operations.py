"""`/api/v1/sync/status` and `/trigger`: the workspace's syncs as one operation."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Router, Schema, Status
from pydantic import ConfigDict, Field, StrictBool

from api.callers import OPERATOR, VIEWER, WorkspaceIn, caller_of
from api.conflicts import Conflict, conflict
from api.finding import Called, need_row
from api.records import REFUSALS
from api.starting import StartOut, jobs_of, tell_started
from syncjobs.core.states import FINAL, Stage, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queries.overview import count_files, find_latest
from syncjobs.queueing.starting import AtWork, start_alone

router = Router(tags=["sync operations"])


class ProgressOut(Schema):
    stage: Stage | None = Field(description="Null while it waits for a worker.")
    percentage: float
    current_file: int
    total_files: int | None = Field(description="Null until all are listed.")


class SyncOut(Schema):
    """A sync record by the document's names."""

    id: uuid.UUID
    status: State
    started_at: datetime | None
    completed_at: datetime | None
    files_processed: int = Field(description="Done with: added, changed, removed or unchanged.")
    error_message: str | None
    progress: ProgressOut
    heartbeat_at: datetime | None
    expected_duration_seconds: float | None


class FileStatus(Schema):
    pending: int = Field(description="Listed by the records at work, and not begun.")
    processing: int = Field(description="In hand.")
    failed: int = Field(description="Of the records at work; where none is, of the latest.")
    total: int = Field(description="In the current versions of all datasets.")


class SyncStatus(Schema):
    latest_sync: SyncOut | None = Field(
        description="What runs, else the latest that was asked for."
    )
    file_status: FileStatus


class TriggerIn(Schema):
    model_config = ConfigDict(extra="forbid")

    job: Annotated[Called, Field(min_length=1)] | None = Field(
        default=None, description="A job's id or name; left out: every enabled job."
    )
    full: StrictBool = Field(default=False, description="Trust no metadata: compare content.")


class TriggerOut(SyncOut, StartOut):
    """The first of the records, and what became of each job."""


class Busy(Conflict):
    latest_sync: SyncOut | None = Field(default=None, description="The sync that is at work.")


@router.get("/status", response={200: SyncStatus, **REFUSALS}, auth=VIEWER)
def read_status(request: HttpRequest, workspace: WorkspaceIn = None) -> dict[str, Any]:
    """The latest sync and how far it is, and what becomes of the files."""
    of = caller_of(request).workspace
    latest = find_latest(of)
    files = count_files(of, latest)
    return {
        "latest_sync": _tell(latest) if latest is not None else None,
        "file_status": {
            name: getattr(files, name) for name in ("pending", "processing", "failed", "total")
        },
    }


@router.post("/trigger", response={202: TriggerOut, **REFUSALS, 409: Busy}, auth=OPERATOR)
def trigger(
    request: HttpRequest,
    body: Annotated[TriggerIn | None, Body()] = None,
    workspace: WorkspaceIn = None,
) -> Status[dict[str, Any]]:
    """Begins a sync. Where one is at work already, that one's progress is the answer (409); one that is stuck
    is cleaned up first, and keeps nobody out."""
    caller = caller_of(request)
    asked = body or TriggerIn()
    jobs = jobs_of(caller.workspace)
    if asked.job is not None:
        rows = SyncJob.objects.select_related("connector", "workspace")
        jobs = [need_row(rows, caller.workspace, asked.job, "sync job")]
    try:
        done = start_alone(jobs, by=caller.name, mode=SyncMode.FULL if asked.full else None)
    except AtWork as exc:
        told = SyncOut(**_tell(exc.record)).model_dump(mode="json")
        raise conflict(f"{exc}.", exc.record, latest_sync=told) from None
    begun = [*done.queued.values(), *done.already_queued.values()]
    if not begun:
        words = "; ".join(f"{one.job.name}: {one.reason}" for one in done.refused[:5])
        raise conflict(words or "There is no enabled sync job on an active connector.")
    first = SyncRecord.objects.get(pk=begun[0])
    return Status(202, {**_tell(first), **tell_started(done, jobs)})


def _tell(record: SyncRecord) -> dict[str, Any]:
    """As `SyncOut` has it."""
    return {
        "id": record.pk,
        "status": record.state,
        "started_at": record.started_at,
        "completed_at": record.finished_at,
        "files_processed": _processed(record),
        "error_message": record.error or None,
        "progress": {
            "stage": record.stage or None,
            "percentage": record.percentage,
            "current_file": record.current_file_index,
            "total_files": record.total_files,
        },
        "heartbeat_at": record.heartbeat_at,
        "expected_duration_seconds": record.expected_duration_s,
    }


def _processed(record: SyncRecord) -> int:
    """Its counts by outcome are written at its end; until then, the files before the one in hand."""
    if record.state not in FINAL:
        return max(0, record.current_file_index - record.files_failed)
    return record.files_added + record.files_changed + record.files_removed + record.files_unchanged
