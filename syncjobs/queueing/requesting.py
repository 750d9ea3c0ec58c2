"""Somebody asks for a sync now, or once more. The request takes back what is stuck in the way first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from farends.spec import ROWS
from syncjobs.claims.reaping import clean_up
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queries.failed_files import FAILED_MAX, count_failed_files
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy, enqueue
from syncjobs.records.asking import NoPlan, approve, find_approved
from workspaces import auditing


def request_sync(
    job: SyncJob,
    *,
    by: str,
    mode: SyncMode | None = None,
    dry_run: bool = False,
    trigger: Trigger = Trigger.MANUAL,
) -> SyncRecord:
    """A queued record. Raises ConnectorPaused, AlreadyQueued; WorkspaceBusy where the workspace, and JobBusy where the
    job syncs one at a time, each with the record that is at work and not stuck."""
    note = _noting(job, "planned" if dry_run else "run")
    return _clean_up_and_enqueue(job, trigger, mode=mode, by=by, dry_run=dry_run, note=note)


def _noting(row: SyncJob | SyncRecord, action: str) -> Callable[[SyncRecord], None]:
    """Returns what writes into the audit trail which record was made."""

    def note(made: SyncRecord) -> None:
        auditing.note_act(row, action, {"record": [None, str(made.pk)]})

    return note


def _clean_up_and_enqueue(job: SyncJob, trigger: Trigger, *, by: str, **asked: Any) -> SyncRecord:
    try:
        return enqueue(job, trigger=trigger, by=by, **asked)
    except (WorkspaceBusy, JobBusy):
        if not clean_up(by=by, workspace_ids=[job.workspace_id]).count:
            raise
    return enqueue(job, trigger=trigger, by=by, **asked)


class NotOfRows(Exception):
    """Only jobs of rows can be asked for that; the message says what to do instead."""


def request_resync(job: SyncJob, *, by: str) -> SyncRecord:
    """A queued record that forgets where the source stood and reads its tables from nothing. Raises NotOfRows, and
    what `request_sync` raises."""
    return _resync(job, by, _noting(job, "resynced"))


def _resync(job: SyncJob, by: str, note: Callable[[SyncRecord], None]) -> SyncRecord:
    if job.far_end != ROWS:
        raise NotOfRows("A job of files has no mark to forget: run it in full.")
    try:
        return _clean_up_and_enqueue(job, Trigger.RESYNC, by=by, mode=SyncMode.FULL, note=note)
    except AlreadyQueued as exc:
        if exc.record.trigger != Trigger.RESYNC:
            raise
        return exc.record


def request_run(
    job: SyncJob,
    *,
    by: str,
    full: bool = False,
    dry_run: bool = False,
    trigger: Trigger = Trigger.MANUAL,
) -> SyncRecord:
    """Like `request_sync`, but the record that is queued already serves too. Raises AlreadyQueued only where that
    one compares less than what is asked for."""
    try:
        mode = SyncMode.FULL if full else None
        return request_sync(job, by=by, mode=mode, dry_run=dry_run, trigger=trigger)
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
    note = _noting(record, "retried")
    if record.trigger == Trigger.RESYNC:
        return _resync(record.job, by, note)
    if record.applies_id is None:
        return _clean_up_and_enqueue(
            record.job,
            Trigger.REDRIVE if record.redrive is not None else Trigger.MANUAL,
            by=by,
            mode=SyncMode(record.mode),
            dry_run=record.dry_run,
            redrive=record.redrive,
            note=note,
        )
    plan = find_approved(record)
    if plan is None:
        raise NoPlan("the dry run whose plan it applies is gone")
    return approve(plan, by=by)


def retry_failed(record: SyncRecord, *, by: str) -> SyncRecord:
    """A queued record that takes the failed files of this one, and nothing else: no other file is fetched, changed or
    removed. Raises NothingToRetry, and what `request_sync` raises."""
    if record.state not in FINAL or record.dry_run:
        raise NothingToRetry("Only a sync that has ended has failed files.")
    count = count_failed_files(record.pk)
    if not count:
        raise NothingToRetry("None of its files has failed.")
    if count > FAILED_MAX:
        raise NothingToRetry(f"Over {FAILED_MAX:,} of its files have failed: retry all of it.")
    return _clean_up_and_enqueue(
        record.job,
        Trigger.REDRIVE,
        by=by,
        mode=SyncMode(record.mode),
        redrive={"record": str(record.pk)},
        note=_noting(record, "retried"),
    )
