"""Queues a sync that somebody asks for now, after cleaning up what is stuck in its way."""

from __future__ import annotations

from syncjobs.claims.reaping import clean_up
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import JobBusy, WorkspaceBusy, enqueue


def request_sync(
    job: SyncJob, *, by: str, mode: SyncMode | None = None, dry_run: bool = False
) -> SyncRecord:
    """A queued record. Raises AlreadyQueued; WorkspaceBusy where the workspace, and JobBusy where the job syncs
    one at a time, each with the record that is at work and not stuck."""
    try:
        return enqueue(job, trigger=Trigger.MANUAL, mode=mode, by=by, dry_run=dry_run)
    except (WorkspaceBusy, JobBusy):
        if not clean_up(by=by, workspace_ids=[job.workspace_id]).count:
            raise
    return enqueue(job, trigger=Trigger.MANUAL, mode=mode, by=by, dry_run=dry_run)
