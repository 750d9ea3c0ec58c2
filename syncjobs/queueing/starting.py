"""Starts many jobs at once: each gets its record, or a reason why not.

A thousand jobs take a handful of statements; what one of them has in its way is told and keeps none of the
others back.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import QuerySet

from connectors.models import ConnectorStatus
from syncjobs.claims.halting import refuse_if_halted
from syncjobs.claims.reaping import clean_up
from syncjobs.core.states import ACTIVE
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queries.active import active_in, find_waiting_of_jobs
from syncjobs.queueing.enqueueing import (
    AlreadyQueued,
    JobBusy,
    WorkspaceBusy,
    keep_out_others,
    settle_overlaps,
)
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.asking import ConnectorPaused, cancel
from syncjobs.records.inserting import NewRecord, insert_records
from workspaces import auditing
from workspaces.models import Workspace


class AtWork(Exception):
    """Another record is at work, where one was to work alone; `record` is the other."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(
            f"{record.job.name} is {record.state} ({record.percentage:.0f} %): wait for it, or cancel it"
        )
        self.record = record


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Why a job was not asked to sync."""

    job: SyncJob
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """A record that was asked to end so that its job begins anew."""

    record_id: uuid.UUID
    job_id: uuid.UUID
    state: str  # running or queued, before that


@dataclass(frozen=True, slots=True)
class Started:
    """Jobs by what became of them; ids of records by the ids of their jobs."""

    queued: dict[uuid.UUID, uuid.UUID]
    already_queued: dict[uuid.UUID, uuid.UUID]
    refused: tuple[NotStarted, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    busy: SyncRecord | None = None  # what keeps the whole workspace out


def start(jobs: Sequence[SyncJob], *, by: str, mode: SyncMode | None = None) -> Started:
    """A record for each of these jobs of one workspace, which come with workspace and connector. Where that
    syncs one thing at a time nothing is queued beside what is at work; else they run one after the other."""
    refused, able = _part(jobs)
    if not able or not able[0].workspace.one_sync_at_a_time:
        free = _settle_overlaps(able, refused, by)
        return _queue(free, by=by, mode=mode, refused=refused)
    queued, waiting = {}, {}
    first, *rest = able
    try:
        queued[first.pk] = request_sync(first, by=by, mode=mode).pk
    except AlreadyQueued as exc:
        waiting[first.pk] = exc.record.pk
    except (JobBusy, WorkspaceBusy) as exc:
        refused += [NotStarted(job, str(exc)) for job in able]
        return Started({}, {}, tuple(refused), busy=exc.record)
    others = _queue(_settle_overlaps(rest, refused, by), by=by, mode=mode, refused=refused)
    return Started(queued | others.queued, waiting | others.already_queued, others.refused)


def start_alone(jobs: Sequence[SyncJob], *, by: str, mode: SyncMode | None = None) -> Started:
    """The same, where none of these jobs is at work, nor another in a workspace that syncs one thing at a time;
    what is stuck is cleaned up first. Raises AtWork."""
    refused, able = _part(jobs)
    if not able:
        return Started({}, {}, tuple(refused))
    workspace = able[0].workspace
    if _find_active(workspace, able) is not None:
        clean_up(by=by, workspace_ids=[workspace.pk])
    with transaction.atomic():
        keep_out_others(workspace.pk)
        if (active := _find_active(workspace, able)) is not None:
            raise AtWork(active)
        return _queue(able, by=by, mode=mode, refused=refused)


def start_anew(jobs: Sequence[SyncJob], *, by: str) -> Started:
    """What of these jobs runs or waits is cancelled, and each gets a new record. That one is claimed once the
    older has ended, which `record_one_running` holds."""
    refused, able = _part(jobs)
    rows = SyncRecord.either.filter(job_id__in=[job.pk for job in able], state__in=ACTIVE)
    # Each in a transaction of its own: a cancel has the record's row first and then those of jobs.
    found = [
        Stopped(record.pk, record.job_id, record.state)
        for record in rows.order_by("pk").only("job_id", "state")
    ]
    stopped = tuple(one for one in found if cancel(one.record_id, by=by))
    done = _queue(able, by=by, mode=None, refused=refused)
    return Started(done.queued, done.already_queued, done.refused, stopped=stopped)


def start_due(jobs: QuerySet[SyncJob], *, by: str) -> tuple[list[SyncJob], Started]:
    """Starts the due jobs of auto-sync connectors; returns them and what became of them. Their intervals
    begin now, so that the schedule does not serve them once more. What another caller is at is left to that.
    Raises Halted."""
    refuse_if_halted("nothing is started by schedule")
    with transaction.atomic():
        taken = list(jobs.select_for_update(skip_locked=True, of=("self",), no_key=True))
        done = _queue(taken, by=by, mode=None, trigger=Trigger.CRON_HOOK)
        _count_anew(list(done.queued))
    return taken, done


def _find_active(workspace: Workspace, jobs: Sequence[SyncJob]) -> SyncRecord | None:
    rows = active_in(workspace.pk).select_related("job", "connector")
    return (rows if workspace.one_sync_at_a_time else rows.filter(job__in=jobs)).first()


_COUNT_ANEW = """
UPDATE syncjobs_syncjob SET next_run_at = now() + make_interval(secs => (schedule ->> 'every_s')::float)
 WHERE id = ANY(%s) AND schedule ? 'every_s' AND next_run_at <= now()
"""


def _count_anew(job_ids: list[uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_ANEW, [job_ids])


def _part(jobs: Iterable[SyncJob]) -> tuple[list[NotStarted], list[SyncJob]]:
    refused, able = [], []
    for job in jobs:
        if job.connector is not None and job.connector.status == ConnectorStatus.PAUSED:
            refused.append(NotStarted(job, str(ConnectorPaused(job.connector.name))))
        elif job.paused_at is not None:
            refused.append(NotStarted(job, f"it is paused: {job.paused_reason}"))
        else:
            able.append(job)
    return refused, able


def _settle_overlaps(jobs: Sequence[SyncJob], refused: list[NotStarted], by: str) -> list[SyncJob]:
    """The jobs that get a record; what keeps the others out is added to `refused`."""
    kept_out = settle_overlaps(jobs, by=by)
    refused += [NotStarted(record.job, str(JobBusy(record))) for record in kept_out.values()]
    return [job for job in jobs if job.pk not in kept_out]


def _queue(
    jobs: Sequence[SyncJob],
    *,
    by: str,
    mode: SyncMode | None,
    refused: Sequence[NotStarted] = (),
    trigger: Trigger = Trigger.MANUAL,
) -> Started:
    records = [
        NewRecord(
            job_id=job.pk,
            workspace_id=job.workspace_id,
            connector_id=job.connector_id,
            source_dataset_id=job.source_dataset_id,
            address=job.address,
            dialled=job.dialled,
            trigger=trigger,
            scheduled_for=None,
            mode=mode or job.sync_mode,
            requested_by=by,
        )
        for job in jobs
    ]
    with transaction.atomic(savepoint=False):
        made = insert_records(records)
        queued = {record.job_id: record.id for record in records if record.id in made}
        if trigger is Trigger.MANUAL:  # what a clock asks for is no person's act
            begun = [job for job in jobs if job.pk in queued]
            auditing.note_acts(begun, "run", lambda job: {"record": [None, str(queued[job.pk])]})
    left = [job for job in jobs if job.pk not in queued]
    waiting = find_waiting_of_jobs([job.pk for job in left])
    gone = [
        NotStarted(job, "its waiting record was begun just now: ask again")
        for job in left
        if job.pk not in waiting
    ]
    return Started(queued, waiting, (*refused, *gone))
