"""What the page of a job tells: how its latest syncs went, and how long one usually takes. Plans count nowhere."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from django.db import connection

from database.rows import fetch_rows
from syncjobs.core.states import ACTIVE, OPEN, State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queries.durations import read_history

STRIP = 30  # records
LOOKED_AT = 1_000  # records in which the last success is looked for
MONTH_MOST = 10_000  # of these the success rate is told, however often the job runs


@dataclass(frozen=True, slots=True)
class UsualTime:
    """Seconds that the latest successful records took, those that needed one attempt; None before the first."""

    median_s: float | None
    p95_s: float | None
    count: int


@dataclass(frozen=True, slots=True)
class MonthOutcome:
    """How the records of the last 30 days ended; a cancelled one says nothing of its job."""

    succeeded: int
    partial: int
    failed: int

    @property
    def percent(self) -> float | None:
        ended = self.succeeded + self.partial + self.failed
        return 100 * self.succeeded / ended if ended else None


@dataclass(frozen=True, slots=True)
class JobStatus:
    latest: Sequence[SyncRecord]  # the newest first
    last_success: SyncRecord | None
    usual: UsualTime
    month: MonthOutcome

    @property
    def current(self) -> SyncRecord | None:
        """What a person asks for first: what runs, else what waits, else what ended last."""
        at_work = [record for record in self.latest if record.state in OPEN]
        if at_work:  # what waits for a worker comes last
            return min(at_work, key=lambda one: (one.state != State.RUNNING, one.state in ACTIVE))
        return self.latest[0] if self.latest else None


def load_job_status(job: SyncJob) -> JobStatus:
    """Four queries, each on the end of an index, however long the job's history is."""
    latest = list(SyncRecord.objects.filter(job=job).order_by("-queued_at")[:STRIP])
    success = next((record for record in latest if record.state == State.SUCCEEDED), None)
    return JobStatus(
        latest=latest,
        last_success=success or _find_success(job.pk),
        usual=read_usual_time(job),
        month=_count_month(job.pk),
    )


def read_usual_time(job: SyncJob) -> UsualTime:
    seconds = sorted(past.duration_s for past in read_history(job.pk, job.sync_mode))
    if not seconds:
        return UsualTime(None, None, 0)
    p95 = seconds[min(len(seconds) - 1, round(0.95 * (len(seconds) - 1)))]
    return UsualTime(median(seconds), p95, len(seconds))


def _find_success(job_id: uuid.UUID) -> SyncRecord | None:
    rows = SyncRecord.objects.filter(job=job_id).order_by("-queued_at")
    recent = rows.values("pk")[:LOOKED_AT]
    return rows.filter(pk__in=recent, state=State.SUCCEEDED).first()


_MONTH = """
SELECT count(*) FILTER (WHERE state = 'succeeded') AS succeeded, count(*) FILTER (WHERE state = 'partial') AS partial,
       count(*) FILTER (WHERE state IN ('failed', 'timed_out')) AS failed
  FROM (SELECT state FROM syncjobs_syncrecord
         WHERE job_id = %s AND NOT dry_run AND queued_at > now() - interval '30 days'
         ORDER BY queued_at DESC LIMIT %s) recent
"""


def _count_month(job_id: uuid.UUID) -> MonthOutcome:
    with connection.cursor() as cursor:
        cursor.execute(_MONTH, [job_id, MONTH_MOST])
        [outcome] = fetch_rows(cursor, MonthOutcome)
    return outcome
