"""One record on demand. It joins the queue; it never moves the schedule."""

from __future__ import annotations

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from syncjobs.core.states import Event, State
from syncjobs.models import Overlap, SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.records.cancelling import cancel
from syncjobs.records.transition import move


class AlreadyQueued(Exception):
    """The job has a queued record already; `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(f"job {record.job.name} is queued already")
        self.record = record


class WorkspaceBusy(Exception):
    """The workspace syncs one thing at a time, and `record` is at it."""

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
) -> SyncRecord:
    """A queued record of the job; beat rings for it within a second. Raises AlreadyQueued, WorkspaceBusy
    where its workspace syncs one thing at a time, and JobBusy where the job's overlap policy is to skip."""
    try:
        with transaction.atomic():
            if job.workspace.one_sync_at_a_time and not dry_run:
                _refuse_second(job)
            if job.overlap != Overlap.QUEUE and not dry_run:
                _settle_overlap(job, by)
            return SyncRecord.objects.create(
                workspace_id=job.workspace_id,
                job=job,
                connector_id=job.connector_id,
                address=job.connector.address,
                dialled=job.connector.dialled,
                trigger=trigger,
                mode=mode or job.sync_mode,
                dry_run=dry_run,
                waiting_for="a worker",
                requested_by=by,
            )
    except IntegrityError:
        queued = (
            SyncRecord.objects.filter(ordinary(), job=job, state=State.QUEUED)
            .select_related("job")
            .first()
        )
        if queued is None:  # it was claimed meanwhile, or the job is gone
            raise
        raise AlreadyQueued(queued) from None


def ordinary() -> Q:
    """Records of which a job has one that runs and one that waits: no plans, no backfills."""
    return Q(dry_run=False, applies_id=None, backfill=None)


def _settle_overlap(job: SyncJob, by: str) -> None:
    """Raises JobBusy; or asks the older ones to make room, the record's row before the job's as everywhere."""
    older = SyncRecord.objects.filter(
        ordinary(), job=job, state__in=[State.RUNNING, State.QUEUED]
    ).select_related("job")
    for record in older.order_by("-state"):  # the running one first
        if job.overlap == Overlap.SKIP:
            raise JobBusy(record)
        if record.state == State.QUEUED:
            move(
                record.pk, Event.COALESCED, reason=f"replaced by a newer one of {by or 'a person'}"
            )
        else:
            cancel(record.pk, by=f"a newer record of {by or 'a person'}")


def _refuse_second(job: SyncJob) -> None:
    """Raises WorkspaceBusy. A record that waits for its retry or its host keeps nobody out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"a sync in workspace {job.workspace_id}"],
        )
    active = (
        SyncRecord.objects.filter(workspace_id=job.workspace_id, dry_run=False)
        .filter(Q(state=State.RUNNING) | Q(state=State.QUEUED, not_before=None))
        .exclude(job=job, state=State.QUEUED)
        .select_related("job", "workspace")
        .order_by("-state", "queued_at")  # the running one first
        .first()
    )
    if active is not None:
        raise WorkspaceBusy(active)
