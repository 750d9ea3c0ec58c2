"""One record on demand. It joins the queue; it never moves the schedule."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger


class AlreadyQueued(Exception):
    """The job has a queued record already; `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(f"job {record.job.name} is queued already")
        self.record = record


def enqueue(
    job: SyncJob,
    *,
    trigger: Trigger,
    mode: SyncMode | None = None,
    by: str = "",
    dry_run: bool = False,
) -> SyncRecord:
    """A queued record of the job; beat rings for it within a second. Raises AlreadyQueued."""
    try:
        with transaction.atomic():
            return SyncRecord.objects.create(
                workspace_id=job.workspace_id,
                job=job,
                connector_id=job.connector_id,
                trigger=trigger,
                mode=mode or job.sync_mode,
                dry_run=dry_run,
                waiting_for="a worker",
                requested_by=by,
            )
    except IntegrityError:
        queued = (
            SyncRecord.objects.filter(job=job, state=State.QUEUED, dry_run=False, applies_id=None)
            .select_related("job")
            .first()
        )
        if queued is None:  # it was claimed meanwhile, or the job is gone
            raise
        raise AlreadyQueued(queued) from None
