"""`/api/v1/sync/status` and `/trigger`: the workspace's syncs as one operation."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Router, Status

from api.rest.answers import REFUSALS
from api.rest.callers import OPERATOR, VIEWER, WorkspaceAsked, caller_of
from api.rest.conflicts import conflict
from api.rest.finding import need_row
from api.shapes.operations import Busy, SyncOut, SyncStatus, TriggerIn, TriggerOut, tell_operation
from api.shapes.starting import tell_started
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queries.enabled import enabled_jobs
from syncjobs.queries.overview import count_files, find_latest
from syncjobs.queueing.starting import AtWork, start_alone

router = Router(tags=["sync operations"])


@router.get("/status", response={200: SyncStatus, **REFUSALS}, auth=VIEWER)
def read_operation(request: HttpRequest, workspace: WorkspaceAsked = None) -> dict[str, Any]:
    """The latest sync and how far it is, and what becomes of the files."""
    of = caller_of(request).workspace
    latest = find_latest(of)
    files = count_files(of, latest)
    return {
        "latest_sync": tell_operation(latest) if latest is not None else None,
        "file_status": {
            name: getattr(files, name) for name in ("pending", "processing", "failed", "total")
        },
    }


@router.post("/trigger", response={202: TriggerOut, **REFUSALS, 409: Busy}, auth=OPERATOR)
def trigger(
    request: HttpRequest,
    body: Annotated[TriggerIn | None, Body()] = None,
    workspace: WorkspaceAsked = None,
) -> Status[dict[str, Any]]:
    """Begins a sync. Where one is at work already, that one's progress is the answer (409); one that is stuck
    is cleaned up first, and keeps nobody out."""
    caller = caller_of(request)
    asked = body or TriggerIn()
    jobs = enabled_jobs(caller.workspace)
    if asked.job is not None:
        rows = SyncJob.objects.select_related("connector", "source_dataset", "workspace")
        jobs = [need_row(rows, caller.workspace, asked.job, "sync job")]
    try:
        done = start_alone(jobs, by=caller.name, mode=SyncMode.FULL if asked.full else None)
    except AtWork as exc:
        told = SyncOut(**tell_operation(exc.record)).model_dump()
        raise conflict(f"{exc}.", exc.record, latest_sync=told) from None
    begun = [*done.queued.values(), *done.already_queued.values()]
    if not begun:
        words = "; ".join(f"{one.job.name}: {one.reason}" for one in done.refused[:5])
        raise conflict(words or "There is no enabled sync job on an active connector.")
    first = SyncRecord.objects.select_related("job").get(pk=begun[0])
    return Status(202, {**tell_operation(first), **dict(tell_started(done, jobs))})
