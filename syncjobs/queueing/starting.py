"""Many jobs at once are asked to sync: each gets its record, or a reason why not.

A thousand jobs take a handful of statements; what one of them has in its way is told and keeps none of the
others back.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from connectors.models import ConnectorStatus
from syncjobs.claims.halting import refuse_if_halted
from syncjobs.claims.reaping import clean_up
from syncjobs.core.states import State
from syncjobs.models import Overlap, SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy, ordinary
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.cancelling import cancel
from syncjobs.records.inserting import NewRecord, insert_records
from workspaces.models import Workspace


class AtWork(Exception):
    """Something is at work that was to be alone; `record` is that."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(
            f"{record.job.name} is {record.state} ({record.percentage:.0f} %): wait for it, or cancel it"
        )
        self.record = record


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a job was not asked to sync."""

    job: SyncJob
    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """Jobs by what became of them; ids of records by the ids of their jobs."""

    queued: dict[uuid.UUID, uuid.UUID]
    already_queued: dict[uuid.UUID, uuid.UUID]
    refused: tuple[Obstacle, ...] = ()
    cancelled: tuple[uuid.UUID, ...] = ()
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
        refused += [Obstacle(job, str(exc)) for job in able]
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
        _keep_out_others(workspace)
        if (active := _find_active(workspace, able)) is not None:
            raise AtWork(active)
        return _queue(able, by=by, mode=mode, refused=refused)


def start_anew(jobs: Sequence[SyncJob], *, by: str) -> Started:
    """What of these jobs runs or waits is cancelled, and each gets a new record. That one is claimed once the
    older has ended, which `record_one_running` holds."""
    refused, able = _part(jobs)
    rows = SyncRecord.objects.filter(
        job_id__in=[job.pk for job in able], state__in=[State.QUEUED, State.RUNNING]
    )
    # Each in a transaction of its own: a cancel has the record's row first and then those of jobs.
    asked = [pk for pk in rows.order_by("pk").values_list("pk", flat=True) if cancel(pk, by=by)]
    done = _queue(able, by=by, mode=None, refused=refused)
    return Started(done.queued, done.already_queued, done.refused, cancelled=tuple(asked))


def start_due(jobs: QuerySet[SyncJob], *, by: str) -> tuple[list[SyncJob], Started]:
    """Those of auto-sync connectors that are due, and what became of them: their intervals
    begin now, so that the schedule does not serve them once more. What another caller is at is left to that.
    Raises Halted."""
    refuse_if_halted("nothing is started by schedule")
    with transaction.atomic():
        taken = list(jobs.select_for_update(skip_locked=True, of=("self",), no_key=True))
        done = _queue(taken, by=by, mode=None, trigger=Trigger.SCHEDULE)
        _count_anew(list(done.queued))
    return taken, done


def _find_active(workspace: Workspace, jobs: Sequence[SyncJob]) -> SyncRecord | None:
    """What works, or is about to: a record that waits for its retry or its host keeps nobody out."""
    rows = SyncRecord.objects.filter(workspace=workspace, dry_run=False)
    if not workspace.one_sync_at_a_time:
        rows = rows.filter(job__in=jobs)
    return (
        rows.filter(Q(state=State.RUNNING) | Q(state=State.QUEUED, not_before=None))
        .select_related("job", "connector")
        .order_by("-state", "queued_at")  # the running one first
        .first()
    )


_COUNT_ANEW = """
UPDATE syncjobs_syncjob SET next_run_at = now() + make_interval(secs => (schedule ->> 'every_s')::float)
 WHERE id = ANY(%s) AND schedule ? 'every_s' AND next_run_at <= now()
"""


def _count_anew(job_ids: list[uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_ANEW, [job_ids])


def _part(jobs: Iterable[SyncJob]) -> tuple[list[Obstacle], list[SyncJob]]:
    refused, able = [], []
    for job in jobs:
        if job.connector.status != ConnectorStatus.ACTIVE:
            refused.append(Obstacle(job, f"its connector is {job.connector.status}"))
        elif job.paused_at is not None:
            refused.append(Obstacle(job, f"it is paused: {job.paused_reason}"))
        else:
            able.append(job)
    return refused, able


def _settle_overlaps(jobs: Sequence[SyncJob], refused: list[Obstacle], by: str) -> list[SyncJob]:
    """As for one job: who skips is refused beside an older record, who cancels the older asks it to end."""
    strict = {job.pk: job for job in jobs if job.overlap != Overlap.QUEUE}
    if not strict:
        return list(jobs)
    busy = set()
    older = SyncRecord.objects.filter(
        ordinary(), job_id__in=list(strict), state__in=[State.RUNNING, State.QUEUED]
    )
    for record in older.order_by("-state"):  # the running one first
        record.job = strict[record.job_id]
        if record.job.overlap == Overlap.CANCEL_OLDER:
            if record.state == State.RUNNING:
                cancel(record.pk, by=f"a newer record of {by}")
        elif record.job_id not in busy:
            busy.add(record.job_id)
            refused.append(Obstacle(record.job, str(JobBusy(record))))
    return [job for job in jobs if job.pk not in busy]


def _queue(
    jobs: Sequence[SyncJob],
    *,
    by: str,
    mode: SyncMode | None,
    refused: Sequence[Obstacle] = (),
    trigger: Trigger = Trigger.MANUAL,
) -> Started:
    records = [
        NewRecord(
            job_id=job.pk,
            workspace_id=job.workspace_id,
            connector_id=job.connector_id,
            address=job.connector.address,
            dialled=job.connector.dialled,
            trigger=trigger,
            scheduled_for=None,  # type: ignore[arg-type]  # NULL: asked for, and no fire
            mode=mode or job.sync_mode,
            requested_by=by,
        )
        for job in jobs
    ]
    made = insert_records(records)
    queued = {record.job_id: record.id for record in records if record.id in made}
    left = [job for job in jobs if job.pk not in queued]
    waiting = _find_waiting([job.pk for job in left])
    gone = [
        Obstacle(job, "its waiting record was begun just now: ask again")
        for job in left
        if job.pk not in waiting
    ]
    return Started(queued, waiting, (*refused, *gone))


def _find_waiting(job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    if not job_ids:
        return {}
    rows = SyncRecord.objects.filter(ordinary(), state=State.QUEUED, job_id__in=job_ids)
    return dict(rows.values_list("job_id", "pk"))


def _keep_out_others(workspace: Workspace) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"a sync in workspace {workspace.pk}"],  # as for one record by hand
        )
