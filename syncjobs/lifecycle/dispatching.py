"""Due fires become queued records, and `next_run_at` moves on, in one transaction.

Any number of dispatchers may run at once: jobs are taken with SKIP LOCKED, and `record_once_per_fire`
stands behind that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from connectors.models import ConnectorStatus
from syncjobs.core.schedules import InvalidSchedule, fire_after, passes_over
from syncjobs.core.states import Event, State
from syncjobs.lifecycle.transition import note
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger


@dataclass(frozen=True, slots=True)
class Dispatched:
    queued: int
    coalesced: int  # fires served by a record that was waiting already


def dispatch_due(limit: int = 500) -> Dispatched:
    """Serves up to `limit` due jobs, the longest due first."""
    with transaction.atomic():
        jobs = list(
            SyncJob.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .filter(enabled=True, next_run_at__lte=Now())
            .filter(connector__status=ConnectorStatus.ACTIVE)
            .order_by("next_run_at")[:limit]
        )
        if not jobs:
            return Dispatched(0, 0)
        now = _database_now()
        to_verify = {job.pk for job in jobs if job.verification_is_due(now)}
        records = [
            SyncRecord(
                workspace_id=job.workspace_id,
                job=job,
                connector_id=job.connector_id,
                trigger=Trigger.SCHEDULE,
                scheduled_for=job.next_run_at,
                mode=SyncMode.FULL if job.pk in to_verify else job.sync_mode,
                waiting_for="a worker",
            )
            for job in jobs
        ]
        SyncRecord.objects.bulk_create(records, ignore_conflicts=True)
        inserted = set(
            SyncRecord.objects.filter(pk__in=[record.pk for record in records]).values_list(
                "pk", flat=True
            )
        )
        serving = _find_serving([record for record in records if record.pk not in inserted])
        for record in records:
            if record.pk not in inserted and (other := serving.get(record.job_id)) is not None:
                _note_coalesced(other, record)
            elif record.pk in inserted:
                serving[record.job_id] = record
                if record.job_id in to_verify:
                    note(record, Event.VERIFICATION_DUE, reason="periodic verification is due")
        served = [job for job in jobs if job.pk in serving]
        for job in served:
            _move_on(job, now, serving[job.pk])
        SyncJob.objects.bulk_update(served, ["next_run_at", "last_error"])
    return Dispatched(len(inserted), len(served) - len(inserted))


def _move_on(job: SyncJob, now: datetime, serving: SyncRecord) -> None:
    """One unreadable schedule must not stop the others: its job rests and says why."""
    fire = job.next_run_at
    if fire is None:
        return
    try:
        schedule = job.parsed_schedule
        job.next_run_at = fire_after(schedule, fire, now)
        passed_over = passes_over(schedule, fire, job.next_run_at)
    except InvalidSchedule as exc:
        job.next_run_at = None
        job.last_error = f"not scheduled any more: {exc}"
        return
    if passed_over and job.next_run_at is not None:
        after, before = fire.isoformat(), job.next_run_at.isoformat()
        note(
            serving,
            Event.COALESCED,
            reason=f"also serves the fires after {after} and before {before}: they came while nobody"
            " dispatched",
            data={"after": after, "before": before},
        )


def _find_serving(records: list[SyncRecord]) -> dict[uuid.UUID, SyncRecord]:
    """By job, the record that serves a fire for which none could be inserted. A job without one had its
    queued record claimed this instant: its fire stays due, and the next round serves it."""
    if not records:
        return {}
    jobs = [record.job_id for record in records]
    waiting = Q(state=State.QUEUED, dry_run=False, applies_id=None)
    same_fire = Q(scheduled_for__in=[record.scheduled_for for record in records])
    fires = {(record.job_id, record.scheduled_for) for record in records}
    return {
        found.job_id: found
        for found in SyncRecord.objects.filter(waiting | same_fire, job_id__in=jobs)
        if found.state == State.QUEUED or (found.job_id, found.scheduled_for) in fires
    }


def _note_coalesced(serving: SyncRecord, record: SyncRecord) -> None:
    if record.scheduled_for is None or record.scheduled_for == serving.scheduled_for:
        return
    fire = record.scheduled_for.isoformat()
    note(
        serving,
        Event.COALESCED,
        reason=f"also serves the fire of {fire}",
        data={"fire": fire},
    )


def _database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        row: tuple[datetime] = cursor.fetchone()
    return row[0]
