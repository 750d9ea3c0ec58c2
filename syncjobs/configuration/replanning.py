"""Plans due times again that older zone data or a wrong clock have planned.

A job keeps `next_run_at` for days or years, and a country changes its clocks in between. A row of `Pulse` remembers
the data that plans follow. A time moves to the next fire from now on: nothing is made up for, and what is due
already stays so. In a fleet whose machines differ meanwhile, the newest data win.

A database whose clock was ahead for a while has planned next fires from there, and jobs would rest until that
time comes. What lies further ahead than its schedule ever plans is drawn near.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from database.rows import fetch_rows
from timing.clock import database_now
from timing.schedules import (
    InvalidSchedule,
    Schedule,
    draw_offset,
    drawn_near,
    first_due,
    parse_text,
)
from timing.zones import VERSION

ZONES = "zones"  # its `holder` is the version
BATCH = 1_000

_READ = "SELECT holder FROM syncjobs_pulse WHERE part = %s"
_WRITE = """
INSERT INTO syncjobs_pulse AS p (part, at, holder) VALUES (%s, now(), %s)
ON CONFLICT (part) DO UPDATE SET at = excluded.at, holder = excluded.holder WHERE p.holder < excluded.holder
"""
_TAKE = """
SELECT id, schedule::text AS written, next_run_at, jitter_s FROM syncjobs_syncjob
 WHERE id > %s AND next_run_at > now() AND schedule ?| ARRAY['cron', 'frequency']
   AND coalesce(schedule->>'timezone', 'UTC') <> 'UTC'
 ORDER BY id LIMIT %s FOR NO KEY UPDATE
"""
# Only what may be too far ahead is read: an interval tells by itself, a clock time has to be looked at.
_TAKE_FAR = """
SELECT id, schedule::text AS written, next_run_at, jitter_s FROM syncjobs_syncjob
 WHERE id > %s AND next_run_at > %s::timestamptz + interval '1 hour'
   AND (schedule ?| ARRAY['cron', 'frequency'] OR (schedule ? 'every_s' AND next_run_at >
        %s::timestamptz + make_interval(secs => (schedule ->> 'every_s')::float)))
 ORDER BY id LIMIT %s
"""
# Not where a person or the dispatcher has planned it meanwhile.
_DRAW = """
UPDATE syncjobs_syncjob j SET next_run_at = u.near
  FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[]) AS u(id, far, near)
 WHERE j.id = u.id AND j.next_run_at = u.far
"""
_MOVE = """
UPDATE syncjobs_syncjob j SET next_run_at = u.next_run_at
  FROM unnest(%s::uuid[], %s::timestamptz[]) AS u(id, next_run_at) WHERE j.id = u.id
"""


def replan(version: str = VERSION, *, on_batch: Callable[[], object] = lambda: None) -> int:
    """Jobs whose due time is another by these zone data; 0 also where plans follow them, or newer ones, already.
    In batches: what a crash leaves undone, the next call does."""
    if _find_version() >= version:
        return 0
    count, last = 0, uuid.UUID(int=0)
    while True:
        with transaction.atomic():
            jobs = _take(_TAKE, [last, BATCH])
            moved = _differing(jobs, database_now())
            with connection.cursor() as cursor:
                cursor.execute(_MOVE, [list(moved), list(moved.values())])
        count += len(moved)
        if len(jobs) < BATCH:
            break
        last = jobs[-1].id
        on_batch()
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [ZONES, version])
    return count


def draw_near(now: datetime | None = None) -> int:
    """Jobs that were planned further ahead than their schedules ever plan, and are planned again; their count."""
    now = now or database_now()
    count, last = 0, uuid.UUID(int=0)
    while True:
        jobs = _take(_TAKE_FAR, [last, now, now, BATCH])
        near = [moved for job in jobs if (moved := _draw(job, now)) is not None]
        if near:
            with connection.cursor() as cursor:
                cursor.execute(_DRAW, [list(column) for column in zip(*near, strict=True)])
                count += cursor.rowcount
        if len(jobs) < BATCH:
            return count
        last = jobs[-1].id


@dataclass(frozen=True, slots=True)
class _Planned:
    """A job with a next fire."""

    id: uuid.UUID
    written: str  # its schedule, as JSON
    next_run_at: datetime
    jitter_s: int

    @property
    def schedule(self) -> Schedule:
        """Raises InvalidSchedule."""
        return parse_text(self.written)

    @property
    def offset(self) -> timedelta:
        return draw_offset(self.id, self.jitter_s)


def _draw(job: _Planned, now: datetime) -> tuple[uuid.UUID, datetime, datetime] | None:
    try:
        due = drawn_near(job.schedule, job.next_run_at, now, job.offset)
    except InvalidSchedule:
        return None
    return None if due is None else (job.id, job.next_run_at, due)


def _differing(jobs: list[_Planned], now: datetime) -> dict[uuid.UUID, datetime]:
    moved = {}
    for job in jobs:
        try:
            due = first_due(job.schedule, now, job.offset)
        except InvalidSchedule:  # the dispatcher says so when it is due
            continue
        if due is not None and due != job.next_run_at:
            moved[job.id] = due
    return moved


def _take(query: str, parameters: list[Any]) -> list[_Planned]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return fetch_rows(cursor, _Planned)


def _find_version() -> str:
    """Finds the version of the zone data that plans follow; empty if they follow none."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [ZONES])
        row = cursor.fetchone()
    return row[0] if row else ""
