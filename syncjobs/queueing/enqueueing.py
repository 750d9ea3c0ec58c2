"""Queues one record on demand. This never moves the schedule."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.db import IntegrityError, connection, transaction

from syncjobs.core.overlaps import Older, Overlap, decide_overlap
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queries.active import active_in, find_active_of_jobs, find_waiting_of_jobs
from syncjobs.records.asking import cancel, refuse_paused
from syncjobs.records.transition import move


class AlreadyQueued(Exception):
    """The job has a queued record already; `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(f"job {record.job.name} is queued already")
        self.record = record


class WorkspaceBusy(Exception):
    """The workspace runs one record at a time, and `record` runs now."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(
            f"workspace {record.workspace.name} syncs one job at a time, and {record.job.name} is"
            f" {record.state} ({record.percentage:.0f} %)"
        )
        self.record = record


class JobBusy(Exception):
    """The job's overlap policy allows one record at a time, and `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(
            f"job {record.job.name} does not overlap, and a record of it is {record.state}"
            f" ({record.percentage:.0f} %)"
        )
        self.record = record


def enqueue(
    job: SyncJob,
    *,
    trigger: Trigger,
    mode: SyncMode | None = None,
    by: str = "",
    dry_run: bool = False,
    redrive: dict[str, Any] | None = None,
    note: Callable[[SyncRecord], None] = lambda made: None,
) -> SyncRecord:
    """A queued record of the job; beat rings for it within a second. `note` is called with it in its transaction.
    Raises ConnectorPaused, AlreadyQueued, WorkspaceBusy where its workspace syncs one thing at a time, and JobBusy where
    the job's overlap policy is to skip."""
    try:
        with transaction.atomic():
            refuse_paused(job)
            if job.workspace.one_sync_at_a_time and not dry_run:
                _refuse_second(job)
            if not dry_run and (older := settle_overlaps([job], by=by)):
                raise JobBusy(older[job.pk])
            made = SyncRecord.either.create(
                workspace_id=job.workspace_id,
                job=job,
                connector_id=job.connector_id,
                source_dataset_id=job.source_dataset_id,
                address=job.address,
                dialled=job.dialled,
                trigger=trigger,
                mode=mode or job.sync_mode,
                dry_run=dry_run,
                redrive=redrive,
                waiting_for="a worker",
                requested_by=by,
            )
            note(made)
            return made
    except IntegrityError:
        waiting = find_waiting_of_jobs([job.pk]).values()
        queued = SyncRecord.objects.select_related("job").filter(pk__in=waiting).first()
        if queued is None:  # it was claimed meanwhile, or the job is gone
            raise
        raise AlreadyQueued(queued) from None


def settle_overlaps(jobs: Sequence[SyncJob], *, by: str) -> dict[uuid.UUID, SyncRecord]:
    """Makes room for a newer record of each job as its overlap policy says; by job, the record that keeps a newer one
    out. The row of a record is locked before that of its job, as everywhere."""
    strict = {job.pk: job for job in jobs if job.overlap != Overlap.QUEUE}
    kept_out: dict[uuid.UUID, uuid.UUID] = {}
    for older in find_active_of_jobs(list(strict)):
        match decide_overlap(strict[older.job_id].overlap, older.state):
            case Older.KEEPS_OUT:
                kept_out.setdefault(older.job_id, older.record_id)  # the running one comes first
            case Older.ENDS:
                cancel(older.record_id, by=f"a newer record of {by or 'a person'}")
            case Older.GIVES_WAY:
                words = f"replaced by a newer one of {by or 'a person'}"
                move(older.record_id, Event.COALESCED, reason=words)
    records = SyncRecord.objects.select_related("job").in_bulk(list(kept_out.values()))
    return {record.job_id: record for record in records.values()}


def keep_out_others(workspace_id: uuid.UUID) -> None:
    """Until the transaction ends, nobody else begins anything in a workspace that syncs one thing at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"a sync in workspace {workspace_id}"],
        )


def _refuse_second(job: SyncJob) -> None:
    """Raises WorkspaceBusy."""
    keep_out_others(job.workspace_id)
    others = active_in(job.workspace_id).exclude(job=job, state=State.QUEUED)
    if (active := others.select_related("job", "workspace").first()) is not None:
        raise WorkspaceBusy(active)
