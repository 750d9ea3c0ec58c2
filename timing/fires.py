"""Lists the fires of a stretch of time, for backfills."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from timing.schedules import CountedFrom, Cron, Every, Schedule

_INSTANT = timedelta(microseconds=1)


class FiresUnknown(Exception):
    """The schedule alone does not say when the job would have been due."""


def iter_fires(
    schedule: Schedule,
    since: datetime,
    until: datetime,
    *,
    anchor: datetime,
    offset: timedelta = timedelta(0),
) -> Iterator[datetime]:
    """When the job would have been due from `since` to `until`, both included. An interval has its first fire at
    `anchor`. Raises FiresUnknown."""
    match schedule:
        case Every(counted_from=CountedFrom.START):
            return _every(timedelta(seconds=schedule.every_s), since, until, anchor)
        case Cron():
            return _cron(schedule, since, until, offset)
        case _:
            raise FiresUnknown(f"a job that runs {schedule.describe()} has no fires of its own")


def _every(
    step: timedelta, since: datetime, until: datetime, anchor: datetime
) -> Iterator[datetime]:
    moment = anchor + max(0, -((anchor - since) // step)) * step
    while moment <= until:
        yield moment
        moment += step


def _cron(
    schedule: Cron, since: datetime, until: datetime, offset: timedelta
) -> Iterator[datetime]:
    fire = schedule.next_fire(since - offset - _INSTANT)
    while fire is not None and fire + offset <= until:
        yield fire + offset
        fire = schedule.next_fire(fire)
