"""Whether a job has run when it should have. Pure: its schedule, its runs and the time in, gaps out.

A job may be idle for as long as its rule says; else for two of its intervals, so that one run may be missed or late.
Time in which no window of the job is open does not count against it. What is found is a gap between two runs, however
late one looks: also one that has ended meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from timing.schedules import Cron, Every, Schedule
from timing.windows import Calendar, find_change, is_open

INTERVALS = 2
IDLE_LEAST = timedelta(seconds=60)  # a job of each second may be late by some
OPENING_MOST = timedelta(hours=1)  # after an opening, at which many jobs wait for their turn
RUNS_MOST = 20  # that are looked at, the latest
AGAIN = timedelta(seconds=10)  # a job that has not run is looked at
FAR_OFF = timedelta(days=1)  # where no deadline can be told


@dataclass(frozen=True, slots=True)
class Run:
    """`ended_at` of None: it runs now."""

    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class IdleTerms:
    """How long a job may be idle. `offset` is what its fires are late by, `calendars` say when it may work."""

    schedule: Schedule
    after_s: int | None = None
    offset: timedelta = timedelta(0)
    calendars: tuple[Calendar, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing ran from `since` on, which is wrong from `wrong_at` on. `until` of None: nothing does yet."""

    since: datetime
    wrong_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Idleness:
    """What a look found, and when the next one is worth while."""

    idle_from: datetime
    look_at: datetime
    gaps: tuple[Gap, ...] = field(default=())


def find_gaps(
    terms: IdleTerms, idle_from: datetime, runs: Sequence[Run], now: datetime
) -> Idleness:
    """`runs` are the latest, the oldest first; what was before the first of `RUNS_MOST` is not known."""
    if len(runs) >= RUNS_MOST:
        idle_from = max(idle_from, runs[0].started_at)
    gaps = []
    for run in runs:
        wrong_at = _find_deadline(terms, idle_from)
        if wrong_at is not None and wrong_at < run.started_at <= now:
            gaps.append(Gap(idle_from, wrong_at, run.started_at))
        idle_from = max(idle_from, run.ended_at or now)
    wrong_at = _find_deadline(terms, idle_from)
    if wrong_at is None:
        return Idleness(idle_from, now + FAR_OFF, tuple(gaps))
    if wrong_at <= now:
        gaps.append(Gap(idle_from, wrong_at, None))
        return Idleness(idle_from, now + AGAIN, tuple(gaps))
    return Idleness(idle_from, wrong_at, tuple(gaps))


def _find_deadline(terms: IdleTerms, idle_from: datetime) -> datetime | None:
    wrong_at = _find_open_deadline(terms, idle_from)
    if wrong_at is None or is_open(terms.calendars, wrong_at):
        return wrong_at
    opens_at = find_change(terms.calendars, wrong_at)
    return None if opens_at is None else opens_at + min(wrong_at - idle_from, OPENING_MOST)


def _find_open_deadline(terms: IdleTerms, idle_from: datetime) -> datetime | None:
    """As if it might always work. None: nobody says when it is due."""
    if terms.after_s is not None:
        return idle_from + timedelta(seconds=terms.after_s)
    if not isinstance(terms.schedule, Every | Cron):
        return None
    fire: datetime | None = idle_from
    for _ in range(INTERVALS):
        if fire is not None:
            fire = terms.schedule.next_fire(fire)
    return None if fire is None else max(fire + terms.offset, idle_from + IDLE_LEAST)
