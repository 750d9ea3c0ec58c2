"""Somebody asks for a sync now, or once more. The request takes back what is stuck in the way first."""

from __future__ import annotations

from syncjobs.claims.reaping import clean_up
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy, enqueue
from syncjobs.records.asking import NoPlan, approve, find_approved


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


def request_run(job: SyncJob, *, by: str, full: bool = False, dry_run: bool = False) -> SyncRecord:
    """Like `request_sync`, but the record that is queued already serves too. Raises AlreadyQueued only where that
    one compares less than what is asked for."""
    try:
        return request_sync(job, by=by, mode=SyncMode.FULL if full else None, dry_run=dry_run)
    except AlreadyQueued as exc:
        if full and exc.record.mode != SyncMode.FULL:
            raise
        return exc.record


class NothingToRetry(Exception):
    """The record has not failed; the message says what to do instead."""


def retry(record: SyncRecord, *, by: str) -> SyncRecord:
    """A queued record of the same job. Raises NothingToRetry, and what `request_sync` raises; of a record
    that applies a plan, NoPlan and AlreadyApplied."""
    if record.state == State.HELD:
        raise NothingToRetry("A guard holds it: release it, or cancel it.")
    if record.state not in FINAL:
        raise NothingToRetry(f"It is {record.state}: wait for its end, or cancel it.")
    if record.state == State.SUCCEEDED:
        raise NothingToRetry("It has succeeded: run its job for a further one.")
    if record.applies_id is None:
        mode = SyncMode(record.mode)
        return request_sync(record.job, by=by, mode=mode, dry_run=record.dry_run)
    plan = find_approved(record)
    if plan is None:
        raise NoPlan("the dry run whose plan it applies is gone")
    return approve(plan, by=by)
