"""Turns due fires into queued records, and moves `next_run_at`, in one transaction.

Any number of dispatchers may run at once: jobs are taken with SKIP LOCKED, and `record_once_per_fire`
stands behind that. Every fire that is due gets a record, or is told by one: as served by it, or as skipped.
A thousand jobs take a handful of statements, whatever their policies are.

Workspaces take turns, as with the bells: one with 60,000 due jobs does not keep another's single one waiting.
Nothing here waits for a record: a job whose records are moving this instant stays due for the next round.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from connectors.models import WAY, ConnectorStatus, name_address, name_dialled_address
from database.rows import fetch_rows
from events.writing import NewEvent, write_events
from syncjobs.core.dependencies import FollowerDecision, ParentEnd, decide_follower
from syncjobs.core.overlaps import Older, Overlap, decide_overlap
from syncjobs.core.states import Event, State
from syncjobs.models import Backfill, SyncMode, Trigger
from syncjobs.queries.active import IN_ACTIVE, find_active_of_jobs, find_waiting_of_jobs
from syncjobs.queries.parents import load_parent_ends
from syncjobs.records.inserting import NewRecord, insert_records
from syncjobs.records.transition import move
from timing.misfires import (
    FireService,
    Misfire,
    Rules,
    SkippedBy,
    Stretch,
    decide_service,
)
from timing.schedules import (
    After,
    Condition,
    CountedFrom,
    Every,
    InvalidSchedule,
    Manual,
    Schedule,
    draw_offset,
    parse_text,
)

log = structlog.get_logger(__name__)

A_NEWER_FIRE = "a newer fire"
BATCH = 2_000
# The turns are those of so many that are longest due; where more are, the others come when these are served.
LOOK = 50_000
SPARE = 4  # batches: others may be serving the first ones just now


@dataclass(frozen=True, slots=True)
class Dispatched:
    queued: int
    coalesced: int  # due jobs whose fire a record serves that was waiting already
    skipped: int = 0  # due jobs whose fires were skipped, all of them
    rested: int = 0  # that turned out not to be due

    @property
    def jobs(self) -> int:
        """How many due jobs were served."""
        return self.queued + self.coalesced + self.skipped + self.rested


def dispatch_due(limit: int = BATCH, *, now: datetime | None = None) -> Dispatched:
    """Serves up to `limit` due jobs, the workspaces in turn, the longest due of each first. `now` is the database's, unless a test has its own."""
    with transaction.atomic():
        jobs = _take_due(limit, now)
        return _Batch(jobs).serve() if jobs else Dispatched(0, 0)


# The inner part is answered by the index `job_due` alone: so it passes over the jobs of paused connectors, which
# stay due until these are back. These connectors are no join: they are hashed when the first due job is met,
# whatever the planner believes of their number. `IS TRUE` keeps the outer part from `job_due`: where statistics are of
# an hour in which nothing was due, the planner would read all due jobs again for each of them.
_TAKE = f"""
WITH due AS (
    SELECT j.id, j.workspace_id, j.next_run_at FROM syncjobs_syncjob j
     WHERE j.enabled AND j.paused_at IS NULL AND j.next_run_at <= coalesce(%(now)s, now())
       AND (j.connector_id IS NULL
            OR j.connector_id NOT IN (SELECT c.id FROM connectors_connector c WHERE c.status <> %(active)s))
     ORDER BY j.next_run_at LIMIT %(look)s),
turns AS MATERIALIZED (
    SELECT id, next_run_at,
           row_number() OVER (PARTITION BY workspace_id ORDER BY next_run_at) AS turn
      FROM due ORDER BY turn, next_run_at LIMIT %(limit)s * %(spare)s)
SELECT j.id, j.workspace_id, j.connector_id, j.source_dataset_id, {WAY}, j.schedule::text AS written, j.next_run_at AS due,
       j.jitter_s, j.misfire, j.catch_up_max, j.max_lateness_s, j.overlap, j.sync_mode,
       j.verify_every_s, coalesce(j.last_verified_at, j.created_at) AS verified_at,
       coalesce(%(now)s, now()) AS now, s.name AS source
  FROM turns
  JOIN syncjobs_syncjob j ON j.id = turns.id
  LEFT JOIN connectors_connector c ON c.id = j.connector_id
  LEFT JOIN datasets_dataset s ON s.id = j.source_dataset_id
 WHERE j.enabled AND j.paused_at IS NULL AND (j.next_run_at <= coalesce(%(now)s, now())) IS TRUE
   AND (j.connector_id IS NULL OR c.status = %(active)s)
 ORDER BY turns.turn, turns.next_run_at LIMIT %(limit)s
   FOR NO KEY UPDATE OF j SKIP LOCKED
"""  # noqa: S608 — names of columns
_MOVE_ON = """
UPDATE syncjobs_syncjob j SET next_run_at = u.next_run_at, last_error = coalesce(u.error, last_error)
  FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[]) AS u(id, next_run_at, error)
 WHERE j.id = u.id
"""
# One look at an index for each fire, however long the job's history is.
_SERVING = """
SELECT r.job_id, r.id AS record_id
  FROM unnest(%(jobs)s::uuid[], %(fires)s::timestamptz[]) AS due(job_id, fire)
  JOIN syncjobs_syncrecord r ON r.job_id = due.job_id AND r.scheduled_for = due.fire
 WHERE r.trigger <> 'backfill'
"""
# Whoever moves a record has its row and wants its job's: never wait for the former while the latter is ours.
_LOCK = f"""
SELECT id, state FROM syncjobs_syncrecord WHERE id = ANY(%s) AND state {IN_ACTIVE}
   FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 — names of states
_ASK_TO_CANCEL = """
UPDATE syncjobs_syncrecord SET cancel_asked_at = now(), cancel_asked_by = %s
 WHERE id = ANY(%s) AND state = 'running' AND cancel_asked_at IS NULL
"""
_FORGET = """
UPDATE syncjobs_dependency d SET record_id = NULL, state = '', ended_at = NULL
  FROM unnest(%s::bigint[], %s::uuid[]) AS u(id, record_id)
 WHERE d.id = u.id AND d.record_id = u.record_id
"""


@dataclass(slots=True)
class _Due:
    """A due job, and what becomes of it."""

    id: uuid.UUID
    workspace_id: uuid.UUID
    connector_id: uuid.UUID | None
    source_dataset_id: uuid.UUID | None
    kind: str  # this and the next three: of its connector
    host: str
    port: int
    options: str  # as JSON
    written: str  # its schedule, as JSON
    due: datetime
    jitter_s: int
    misfire: str
    catch_up_max: int
    max_lateness_s: int | None
    overlap: str
    sync_mode: str
    verify_every_s: int | None
    verified_at: datetime
    now: datetime
    source: str | None  # the name of the dataset that it reads
    service: FireService = field(default_factory=lambda: FireService(None))
    trigger: Trigger = Trigger.SCHEDULE
    error: str | None = None
    cause: str = ""  # what an after-job was waiting for
    used: Sequence[ParentEnd] = ()  # whose ends have been answered when it moves on
    rest: timedelta | None = None  # after the end of a record
    left: bool = False  # it stays due: the next round looks again

    def decide(self) -> Schedule | None:
        """One unreadable schedule must not stop the others: its job rests and says why."""
        try:
            schedule = parse_text(self.written)
            self.service = decide_service(schedule, self.due, self.now, self._rules())
            if isinstance(schedule, Every) and schedule.counted_from is CountedFrom.END:
                self.rest = timedelta(seconds=schedule.every_s)
        except InvalidSchedule as exc:
            self.service = FireService(self.due)
            self.error = f"not scheduled any more: {exc}"
            return None
        except Exception as exc:  # an error of ours in one schedule must not stop all jobs
            log.exception("job.unschedulable", job=str(self.id), schedule=self.written)
            self.service = FireService(self.due)
            self.error = f"not scheduled any more, by an error of ours: {type(exc).__name__}: {exc}"
            return None
        return schedule

    def _rules(self) -> Rules:
        return Rules(
            policy=Misfire(self.misfire),
            catch_up_max=self.catch_up_max,
            max_lateness_s=self.max_lateness_s,
            offset=draw_offset(self.id, self.jitter_s),
        )

    def follow(self, decision: FollowerDecision) -> None:
        """Does as the ends of its parents say."""
        self.cause, self.used = decision.cause, decision.used
        if decision.skipped_for:
            self.service = FireService(self.due)
            self.skip(SkippedBy.PARENT, decision.skipped_for)
        elif not decision.cause:
            self.service = FireService(None)  # it rests until the next one ends

    def toward(self, older: str) -> Older:
        """What becomes of an older record of it in that state."""
        return decide_overlap(self.overlap, older)

    def skip(self, rule: SkippedBy, reason: str) -> None:
        """Serves none of its fires."""
        self.service = self.service.skip_all(rule, reason)

    def next_due(self, *, ends: bool) -> datetime | None:
        """Returns the next due time. A rest that is counted from the end of a record begins now if no record will end."""
        if self.rest is not None and not ends:
            return self.now + self.rest
        return self.service.next_due

    @property
    def verifies(self) -> bool:
        """Whether the last look at every content is too long ago."""
        return self.verify_every_s is not None and self.now - self.verified_at >= timedelta(
            seconds=self.verify_every_s
        )

    def record(self, fire: datetime) -> NewRecord:
        return NewRecord(
            job_id=self.id,
            workspace_id=self.workspace_id,
            connector_id=self.connector_id,
            source_dataset_id=self.source_dataset_id,
            address=name_address(self.host, self.port),
            dialled=name_dialled_address(self.kind, self.host, self.port, self.options),
            trigger=self.trigger,
            scheduled_for=fire,
            mode=SyncMode.FULL if self.verifies else self.sync_mode,
        )


def _take_due(limit: int, now: datetime | None) -> list[_Due]:
    with connection.cursor() as cursor:
        words = {"now": now, "active": ConnectorStatus.ACTIVE, "look": LOOK, "spare": SPARE}
        cursor.execute(_TAKE, {"limit": limit, **words})
        return fetch_rows(cursor, _Due)


class _Batch:
    """Due jobs whose rows are locked."""

    def __init__(self, jobs: Sequence[_Due]) -> None:
        self._jobs = jobs
        self._events: list[NewEvent] = []
        self._awaited: set[uuid.UUID] = set()  # jobs that have a record in the queue now

    def serve(self) -> Dispatched:
        followers = {}
        for job in self._jobs:
            schedule = job.decide()
            if isinstance(schedule, After):
                followers[job.id] = (job, schedule.condition)
            elif isinstance(schedule, Manual) and job.source is not None:
                job.trigger, job.cause = Trigger.AFTER, f"after a new version of {job.source}"
        if followers:
            self._decide_followers(followers)
        self._settle_overlaps()
        queued, coalesced = self._queue()
        served = [job for job in self._jobs if not job.left]
        self._skip(served)
        self._catch_up(served)
        write_events(self._events)
        self._forget([parent for job in served for parent in job.used])
        self._move_on(served)
        skipped = sum(job.service.serve is None and bool(job.service.skipped) for job in served)
        return Dispatched(queued, coalesced, skipped, len(served) - queued - coalesced - skipped)

    def _decide_followers(self, followers: dict[uuid.UUID, tuple[_Due, Condition]]) -> None:
        parents = load_parent_ends(list(followers))
        for job, condition in followers.values():
            job.trigger = Trigger.AFTER
            job.follow(decide_follower(condition, parents.get(job.id, [])))

    def _forget(self, used: Sequence[ParentEnd]) -> None:
        if used:
            with connection.cursor() as cursor:
                cursor.execute(_FORGET, [[p.id for p in used], [p.record_id for p in used]])

    def _settle_overlaps(self) -> None:
        strict = {
            job.id: job
            for job in self._jobs
            if job.overlap != Overlap.QUEUE and job.service.serve is not None
        }
        if not strict:
            return
        replaced = {}
        for older in find_active_of_jobs(list(strict)):
            job = strict[older.job_id]
            what = job.toward(older.state)
            if what in (Older.ENDS, Older.GIVES_WAY):
                replaced[older.record_id] = job
            elif what is Older.KEEPS_OUT and job.service.serve is not None:
                words = f"record {older.record_id} of the same job had not ended"
                job.skip(SkippedBy.OVERLAP, f"{words}, and the job's overlap policy is skip")
        self._replace(replaced)

    def _replace(self, older: Mapping[uuid.UUID, _Due]) -> None:
        if not older:
            return
        asked, locked = [], set()
        for record_id, state in _fetch_pairs(_LOCK, [list(older)]).items():
            locked.add(record_id)
            if older[record_id].toward(state) is Older.ENDS:
                asked.append(record_id)
            else:
                move(record_id, Event.COALESCED, reason=f"replaced by {A_NEWER_FIRE}")
        with connection.cursor() as cursor:
            cursor.execute(_ASK_TO_CANCEL, [A_NEWER_FIRE, asked])
        for record_id, job in older.items():
            job.left |= record_id not in locked  # it is moving just now

    def _skip(self, jobs: Iterable[_Due]) -> None:
        records, told = [], []
        for job in jobs:
            for skipped in job.service.skipped:
                record = replace(
                    job.record(skipped.fires.first),
                    state=State.CANCELLED,
                    waiting_for="",
                    verdict=f"skipped.{skipped.rule}",
                    error=f"{skipped.fires.describe()}: {skipped.reason}",
                    finished_at=job.now,
                )
                records.append(record)
                told.append(_skipped(record, _span(skipped.fires)))
        made = insert_records(records)
        self._events += [event for event in told if event.record_id in made]

    def _queue(self) -> tuple[int, int]:
        serving = [
            (job, job.service.serve, job.record(job.service.serve))
            for job in self._jobs
            if job.service.serve and not job.left
        ]
        made = insert_records([record for *_, record in serving])
        for job, _, record in serving:
            if record.id in made:
                self._awaited.add(job.id)
                self._tell(job, record)
        coalesced = self._coalesce(
            [(job, fire) for job, fire, record in serving if record.id not in made]
        )
        return len(made), coalesced

    def _tell(self, job: _Due, record: NewRecord) -> None:
        if job.verifies:
            self._note(job, record.id, Event.VERIFICATION_DUE, "periodic verification is due", {})
        if job.cause:
            self._note(job, record.id, Event.FOLLOWED, job.cause, {})
        if job.service.merged is not None:
            self._note_merged(job, record.id, job.service.merged)

    def _coalesce(self, pairs: Sequence[tuple[_Due, datetime]]) -> int:
        """A fire for which no record could be made is served by the one that waits, or by one that it has
        already. Where neither is there, the waiting one was claimed this instant: the fire stays due."""
        if not pairs:
            return 0
        jobs = [job.id for job, _ in pairs]
        queued = find_waiting_of_jobs(jobs)
        own = _fetch_pairs(_SERVING, {"jobs": jobs, "fires": [fire for _, fire in pairs]})
        for job, fire in pairs:
            if (record_id := own.get(job.id)) is None:
                record_id = queued.get(job.id)
                if record_id is None or job.toward(State.QUEUED) is not Older.STAYS:
                    job.left = True
                    continue
                self._awaited.add(job.id)
                told = fire.isoformat()
                reason = f"also serves the fire of {told}"
                self._note(job, record_id, Event.COALESCED, reason, {"fire": told})
            if job.service.merged is not None:
                self._note_merged(job, record_id, job.service.merged)
        return sum(not job.left for job, _ in pairs)

    def _catch_up(self, jobs: Iterable[_Due]) -> None:
        Backfill.objects.bulk_create(
            Backfill(
                workspace_id=job.workspace_id,
                job_id=job.id,
                trigger=Trigger.SCHEDULE,
                since=missed.first,
                until=missed.last,
                mode=job.sync_mode,
                fires=missed.count,
                next_fire=missed.first,
                requested_by="misfire policy",
            )
            for job in jobs
            if (missed := job.service.catch_up) is not None
        )

    def _move_on(self, jobs: Sequence[_Due]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                _MOVE_ON,
                [
                    [job.id for job in jobs],
                    [job.next_due(ends=job.id in self._awaited) for job in jobs],
                    [job.error for job in jobs],
                ],
            )

    def _note(
        self, job: _Due, record_id: uuid.UUID, event: Event, reason: str, data: dict[str, Any]
    ) -> None:
        """Notes an event of a record that stays queued."""
        told = NewEvent(
            event=event,
            workspace_id=job.workspace_id,
            record_id=record_id,
            from_state=State.QUEUED,
            to_state=State.QUEUED,
            reason=reason,
            data=data,
        )
        self._events.append(told)

    def _note_merged(self, job: _Due, record_id: uuid.UUID, merged: Stretch) -> None:
        told = _span(merged)
        data = {"missed": merged.count, "first": told["first"], "last": told["last"]}
        self._note(job, record_id, Event.COALESCED, f"also serves {merged.describe()}", data)


def _skipped(record: NewRecord, fires: dict[str, Any]) -> NewEvent:
    return NewEvent(
        event=Event.SKIPPED,
        workspace_id=record.workspace_id,
        record_id=record.id,
        to_state=record.state,
        reason=record.error,
        data=fires,
    )


def _span(fires: Stretch) -> dict[str, Any]:
    return {
        "count": fires.count,
        "first": fires.first.isoformat(),
        "last": fires.last.isoformat(),
    }


def _fetch_pairs(query: str, parameters: Any) -> dict[uuid.UUID, Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return dict(cursor.fetchall())
