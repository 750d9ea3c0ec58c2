"""Makes a record for each fire of the past, a few at a time: because a person asked, or because a job catches up.

Beat's tick moves every backfill on. Its records are a job's own kind beside the ordinary ones: they neither
serve a fire of the schedule nor give way to one, but still one record of a job runs at a time. It rests while its
connector is paused. What a job catches up with ends when the job is switched off or paused.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from django.db import connection, transaction
from django.db.models.functions import Now

from connectors.models import WAY, name_address, name_dialled_address
from database.rows import fetch_rows
from events.writing import NewEvent, write_events
from syncjobs.core.states import OPEN, Event, State
from syncjobs.models import Backfill, BackfillState, SyncJob, SyncMode, SyncRecord
from syncjobs.queries.active import IN_OPEN
from syncjobs.records.asking import cancel
from syncjobs.records.inserting import NewRecord, insert_records
from timing.clock import database_now
from timing.fires import FiresUnknown, iter_fires
from timing.schedules import InvalidSchedule, draw_offset, parse_text
from workspaces import auditing

FIRES_MAX = 10_000
AT_ONCE = 1_000  # backfills that a tick moves on


class NoFires(Exception):
    """The range holds no fire of the job's schedule; the message says why."""


class TooManyFires(Exception):
    """The range holds more than FIRES_MAX."""


def count_fires(job: SyncJob, since: datetime, until: datetime) -> int:
    """Counts the fires of the range, its ends included. Raises NoFires, TooManyFires."""
    return len(_find_fires(job, since, until))


def request_backfill(
    job: SyncJob,
    since: datetime,
    until: datetime,
    *,
    parallel: int = 1,
    mode: SyncMode | None = None,
    by: str = "",
) -> Backfill:
    """Beat queues its records from the next tick on. Raises NoFires, TooManyFires."""
    fires = _find_fires(job, since, until)
    with transaction.atomic():
        made = Backfill.objects.create(
            workspace_id=job.workspace_id,
            job=job,
            since=fires[0],
            until=fires[-1],
            parallel=parallel,
            mode=mode or job.sync_mode,
            fires=len(fires),
            next_fire=fires[0],
            requested_by=by,
        )
        auditing.note_act(made, auditing.CREATED, {"fires": [None, len(fires)]})
    return made


def cancel_backfill(backfill: Backfill, *, by: str) -> bool:
    """No further record of it is queued, and those that wait or run are asked to end; False where it has ended."""
    with transaction.atomic():
        ended = Backfill.objects.filter(pk=backfill.pk, state=BackfillState.ACTIVE).update(
            state=BackfillState.CANCELLED, finished_at=Now()
        )
        if ended:
            auditing.note_act(backfill, "cancelled")
    for record_id in SyncRecord.objects.filter(backfill=backfill, state__in=OPEN).values_list(
        "pk", flat=True
    ):
        cancel(record_id, by=by)
    return ended == 1


# Those that have something to do: room for a record, an end to tell, a job that was switched off.
_TAKE = f"""
SELECT b.id, b.workspace_id, b.job_id, j.connector_id, j.source_dataset_id, {WAY}, b.trigger, b.mode, b.requested_by,
       b.since, b.until, b.next_fire, b.fires, b.queued, b.parallel, j.schedule::text AS written,
       j.jitter_s, b.trigger <> 'backfill' AND NOT (j.enabled AND j.paused_at IS NULL) AS is_off
  FROM syncjobs_backfill b
  JOIN syncjobs_syncjob j ON j.id = b.job_id
  LEFT JOIN connectors_connector c ON c.id = j.connector_id
 CROSS JOIN LATERAL (
    SELECT count(*) FROM syncjobs_syncrecord r
     WHERE r.backfill_id = b.id AND r.state {IN_OPEN}) live
 WHERE b.state = 'active'
   AND CASE WHEN b.trigger <> 'backfill' AND NOT (j.enabled AND j.paused_at IS NULL) THEN true
            WHEN b.next_fire IS NULL THEN live.count = 0
            ELSE (c.id IS NULL OR c.status = 'active') AND live.count < b.parallel END
 ORDER BY b.created_at LIMIT %s
   FOR NO KEY UPDATE OF b SKIP LOCKED
"""  # noqa: S608 — names of columns
_COUNT = f"""
SELECT backfill_id, count(*) FROM syncjobs_syncrecord
 WHERE backfill_id = ANY(%s) AND state {IN_OPEN} GROUP BY 1
"""  # noqa: S608 — names of states
_MOVE_ON = """
UPDATE syncjobs_backfill b SET queued = u.queued, next_fire = u.next_fire
  FROM unnest(%s::uuid[], %s::int[], %s::timestamptz[]) AS u(id, queued, next_fire) WHERE b.id = u.id
"""


@dataclass(frozen=True, slots=True)
class _Active:
    """A backfill that has something to do; its row is locked."""

    id: uuid.UUID
    workspace_id: uuid.UUID
    job_id: uuid.UUID
    connector_id: uuid.UUID | None
    source_dataset_id: uuid.UUID | None
    kind: str  # this and the next three: of its connector
    host: str
    port: int
    options: str  # as JSON
    trigger: str
    mode: str
    requested_by: str
    since: datetime
    until: datetime
    next_fire: datetime | None
    fires: int
    queued: int
    parallel: int
    written: str  # its job's schedule, as JSON
    jitter_s: int
    is_off: bool
    live: int = 0  # its records that wait or run

    @property
    def room(self) -> int:
        """How many more records fit."""
        return max(0, self.parallel - self.live)

    @property
    def has_work(self) -> bool:
        return self.is_off or (self.live == 0 if self.next_fire is None else self.room > 0)

    def plan(self) -> list[datetime]:
        """The fires that get a record now, and the one after them where there is one."""
        if self.next_fire is None:
            return []
        offset = draw_offset(self.job_id, self.jitter_s)
        try:
            schedule = parse_text(self.written)
            fires = iter_fires(
                schedule, self.next_fire, self.until, anchor=self.since, offset=offset
            )
        except (InvalidSchedule, FiresUnknown):  # it was changed meanwhile
            return []
        return list(islice(fires, self.room + 1))

    def record(self, fire: datetime) -> NewRecord:
        return NewRecord(
            job_id=self.job_id,
            workspace_id=self.workspace_id,
            connector_id=self.connector_id,
            source_dataset_id=self.source_dataset_id,
            address=name_address(self.host, self.port),
            dialled=name_dialled_address(self.kind, self.host, self.port, self.options),
            trigger=self.trigger,
            scheduled_for=fire,
            mode=self.mode,
            requested_by=self.requested_by,
            backfill_id=self.id,
        )

    def event(self, record: NewRecord, number: int) -> NewEvent:
        return NewEvent(
            event=Event.BACKFILLED,
            workspace_id=self.workspace_id,
            record_id=record.id,
            from_state=State.QUEUED,
            to_state=State.QUEUED,
            reason=f"fire {number} of {self.fires} of a backfill",
            data={"backfill": str(self.id)},
        )


def advance_backfills(now: datetime | None = None) -> int:
    """Queues what each active one may have at once; the count of new records. A handful of statements, and any
    number of beats may do so together."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [AT_ONCE])
            taken = fetch_rows(cursor, _Active)
            # Another beat may have moved some on since this statement began; now their rows are locked.
            cursor.execute(_COUNT, [[active.id for active in taken]])
            live = dict(cursor.fetchall())
        seen = [replace(active, live=live.get(active.id, 0)) for active in taken]
        found = [active for active in seen if active.has_work]
        going = [active for active in found if not active.is_off and active.next_fire is not None]
        made = _queue(going) if going else 0
        ended = [active.id for active in found if not active.is_off and active.next_fire is None]
        if ended:
            Backfill.objects.filter(pk__in=ended).update(
                state=BackfillState.DONE, finished_at=now or Now()
            )
    for active in found:
        if active.is_off:  # whoever goes on after a pause makes up for nothing
            _give_up(active.id)
    return made


def _give_up(backfill_id: uuid.UUID) -> None:
    """What runs goes on, as after every pause."""
    active = Backfill.objects.filter(pk=backfill_id, state=BackfillState.ACTIVE)
    active.update(state=BackfillState.CANCELLED, finished_at=Now())
    waiting = SyncRecord.objects.filter(backfill=backfill_id, state=State.QUEUED)
    for record_id in waiting.values_list("pk", flat=True):
        cancel(record_id, by="the pause of its job")


def _queue(going: Sequence[_Active]) -> int:
    """A fire that the schedule has served meanwhile has its record already."""
    plans = [(active, active.plan()) for active in going]
    records = {
        (active.id, number): active.record(fire)
        for active, fires in plans
        for number, fire in enumerate(fires[: active.room], start=active.queued + 1)
    }
    made = insert_records(list(records.values()))
    by_id = {active.id: active for active in going}
    write_events(
        [
            by_id[backfill_id].event(record, number)
            for (backfill_id, number), record in records.items()
            if record.id in made
        ]
    )
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE_ON,
            [
                [active.id for active in going],
                [active.queued + len(fires[: active.room]) for active, fires in plans],
                [
                    fires[active.room] if len(fires) > active.room else None
                    for active, fires in plans
                ],
            ],
        )
    return len(made)


def _find_fires(job: SyncJob, since: datetime, until: datetime) -> list[datetime]:
    if until < since:
        raise NoFires("the end of the range lies before its beginning")
    if until > database_now():
        raise NoFires("the range reaches into the future: its fires come by themselves")
    try:
        found = iter_fires(job.parsed_schedule, since, until, anchor=since, offset=job.offset)
    except FiresUnknown as exc:
        raise NoFires(str(exc)) from None
    fires = list(islice(found, FIRES_MAX + 1))
    if not fires:
        raise NoFires(f"the schedule has no fire from {since.isoformat()} to {until.isoformat()}")
    if len(fires) > FIRES_MAX:
        raise TooManyFires(f"the range holds more than {FIRES_MAX:,} fires: take a shorter one")
    return fires
