"""Due fires become queued records, and `next_run_at` moves on, in one transaction.

Any number of dispatchers may run at once: jobs are taken with SKIP LOCKED, and `record_once_per_fire`
stands behind that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from connectors.models import ConnectorStatus
from syncjobs.core.misfires import Rules, Stretch, decide_service
from syncjobs.core.schedules import InvalidSchedule
from syncjobs.core.states import Event, State
from syncjobs.lifecycle.transition import note
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from workspaces.clock import database_now


@dataclass(frozen=True, slots=True)
class Dispatched:
    queued: int
    coalesced: int  # due jobs whose fire a record serves that was waiting already


def dispatch_due(limit: int = 500) -> Dispatched:
    """Serves up to `limit` due jobs, the longest due first."""
    with transaction.atomic():
        jobs = list(
            SyncJob.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .select_related("connector")
            .filter(enabled=True, paused_at=None, next_run_at__lte=Now())
            .filter(connector__status=ConnectorStatus.ACTIVE)
            .order_by("next_run_at")[:limit]
        )
        if not jobs:
            return Dispatched(0, 0)
        now = database_now()
        to_verify = {job.pk for job in jobs if job.verification_is_due(now)}
        records = [
            SyncRecord(
                workspace_id=job.workspace_id,
                job=job,
                connector_id=job.connector_id,
                address=job.connector.address,
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
            if (missed := _move_on(job, now)) is not None:
                _note_missed(serving[job.pk], missed)
        SyncJob.objects.bulk_update(served, ["next_run_at", "last_error"])
    return Dispatched(len(inserted), len(served) - len(inserted))


def _move_on(job: SyncJob, now: datetime) -> Stretch | None:
    """The fires that are passed over, for nobody dispatched when they were due. One unreadable schedule
    must not stop the others: its job rests and says why."""
    served = job.next_run_at
    if served is None:
        return None
    try:
        service = decide_service(job.parsed_schedule, served, now, Rules(offset=job.offset))
    except InvalidSchedule as exc:
        job.next_run_at = None
        job.last_error = f"not scheduled any more: {exc}"
        return None
    job.next_run_at = service.next_due
    return service.merged


def _note_missed(record: SyncRecord, missed: Stretch) -> None:
    first, last = missed.first.isoformat(), missed.last.isoformat()
    fires = f"{missed.count} missed fires, {first} to {last}"
    note(
        record,
        Event.COALESCED,
        reason=f"also serves {fires}" if missed.count > 1 else f"also serves the fire of {first}",
        data={"missed": missed.count, "first": first, "last": last},
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
