"""Plans when a job is due after it was made, edited, switched on or resumed. Fires that passed meanwhile are not
repeated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from datasets.models import Version
from syncjobs.models import Dependency, SyncJob
from timing.clock import database_now
from timing.schedules import InvalidSchedule, first_due

NOT_PAUSED: dict[str, Any] = {"failures_in_a_row": 0, "paused_at": None, "paused_reason": ""}


def plan_anew(job: SyncJob) -> datetime | None:
    """Returns the job's first due time from now; None where only an event tells, or a schedule that cannot be read. What its
    parents did before counts no more. A job that follows a dataset is due at once where that has a version, so that it
    shows its first result."""
    Dependency.objects.filter(job=job).exclude(record_id=None).update(
        record_id=None, state="", ended_at=None
    )
    if job.follows_dataset:
        versions = Version.objects.filter(dataset=job.source_dataset_id, is_current=True)
        return database_now() if versions.exists() else None
    try:
        return first_due(job.parsed_schedule, database_now(), job.offset)
    except InvalidSchedule:
        return None


def resume(jobs: QuerySet[SyncJob]) -> int:
    """Lets those that are paused go on, as of now; their count."""
    with transaction.atomic():
        resting = jobs.exclude(paused_at=None).order_by("pk")
        paused = list(resting.select_for_update(no_key=True, of=("self",)))
        for job in paused:
            for name, value in NOT_PAUSED.items():
                setattr(job, name, value)
            job.next_run_at = plan_anew(job) if job.enabled else None
            job.save(update_fields=[*NOT_PAUSED, "next_run_at"])
    return len(paused)
