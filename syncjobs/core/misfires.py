"""What becomes of the fires that are due: which get a record, which share one, which are skipped.

A fire is in time while it is at most GRACE_S late: a restart of beat is no misfire. What is later is a misfire,
and the job's policy says what to do with it. A stretch of fires is told by its count and its ends, so a job that
fires every second and was away for a week costs one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

from syncjobs.core.schedules import Cron, Every, Schedule, due_after

GRACE_S = 60
COUNTED_MAX = 1_000  # of cron fires; a longer stretch says "1000 or more"
CATCH_UP_MAX = 1_000

_INSTANT = timedelta(microseconds=1)


class Misfire(StrEnum):
    """What to do with fires that nobody served in time."""

    SKIP = "skip"  # nothing: the next fire comes
    RUN_ONCE = "run_once"  # one record for all of them
    CATCH_UP = "catch_up"  # a record for each of the latest, one after the other


@dataclass(frozen=True, slots=True)
class Rules:
    policy: Misfire = Misfire.RUN_ONCE
    catch_up_max: int = 5  # records, the oldest fires beyond are skipped
    max_lateness_s: int | None = None  # a fire that is later is skipped; None: however late
    offset: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive fires, as the instants when they were due. `count` of cron goes up to COUNTED_MAX."""

    count: int
    first: datetime
    last: datetime

    def describe(self) -> str:
        first, last = self.first.isoformat(), self.last.isoformat()
        if self.count == 1:
            return f"the fire of {first}"
        more = " or more" if self.count == COUNTED_MAX else ""
        return f"{self.count}{more} fires, {first} to {last}"


class SkippedBy(StrEnum):
    """The rule by which fires are not served; the verdict of the record that says so."""

    MISFIRE = "misfire"
    LATE = "late"
    OVERLAP = "overlap"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Skipped:
    fires: Stretch
    rule: SkippedBy
    reason: str


@dataclass(frozen=True, slots=True)
class Service:
    """What a due job gets: `serve` a record now, which serves `merged` as well; `catch_up` a record each, when the
    one before has ended; `skipped` none."""

    serve: datetime | None
    merged: Stretch | None = None
    catch_up: Stretch | None = None
    skipped: tuple[Skipped, ...] = field(default=())
    next_due: datetime | None = None


def decide_service(schedule: Schedule, due: datetime, now: datetime, rules: Rules) -> Service:
    """For a job that is due since `due` <= `now`."""
    next_due = due_after(schedule, due, now, rules.offset)
    allowed_from = _latest_of(due, now, rules.max_lateness_s)
    in_time_from = _latest_of(allowed_from, now, GRACE_S)
    fires = _Fires(schedule, due, rules.offset)
    too_late = fires.between(due, allowed_from)
    missed = fires.between(allowed_from, in_time_from)
    in_time = fires.between(in_time_from, now + _INSTANT)
    skipped = []
    if too_late is not None:
        skipped.append(
            Skipped(
                too_late,
                SkippedBy.LATE,
                f"later than max_lateness_s allows ({rules.max_lateness_s} s)",
            )
        )
    if missed is not None and rules.policy is Misfire.SKIP:
        skipped.append(
            Skipped(missed, SkippedBy.MISFIRE, "missed, and the job's misfire policy is skip")
        )
        missed = None
    left = _joined(missed, in_time)
    if left is None:
        return Service(None, skipped=tuple(skipped), next_due=next_due)
    if missed is not None and rules.policy is Misfire.CATCH_UP:
        older, left = fires.split(left, rules.catch_up_max)
        if older is not None:
            words = f"missed, and the job catches up with the latest {rules.catch_up_max} only"
            skipped.append(Skipped(older, SkippedBy.MISFIRE, words))
        rest = fires.after_first(left)
        return Service(left.first, None, rest, tuple(skipped), next_due)
    return Service(left.first, fires.after_first(left), None, tuple(skipped), next_due)


def _latest_of(moment: datetime, now: datetime, lateness_s: int | None) -> datetime:
    return moment if lateness_s is None else max(moment, now - timedelta(seconds=lateness_s))


def _joined(older: Stretch | None, newer: Stretch | None) -> Stretch | None:
    if older is None or newer is None:
        return newer or older
    return Stretch(older.count + newer.count, older.first, newer.last)


class _Fires:
    """The instants from `due` on at which a job is due."""

    def __init__(self, schedule: Schedule, due: datetime, offset: timedelta) -> None:
        self._schedule = schedule
        self._due = due
        self._offset = offset

    def between(self, since: datetime, before: datetime) -> Stretch | None:
        """Of `since` and later, and earlier than `before`; None where there is none."""
        first = self._at_or_after(since)
        return None if first is None or first >= before else self._stretch(first, before)

    def after_first(self, stretch: Stretch) -> Stretch | None:
        if stretch.count == 1:
            return None
        second = self._at_or_after(stretch.first + _INSTANT)
        return None if second is None else self._stretch(second, stretch.last + _INSTANT)

    def split(self, stretch: Stretch, latest: int) -> tuple[Stretch | None, Stretch]:
        """The older fires, and the `latest` ones."""
        if stretch.count <= latest:
            return None, stretch
        begin = stretch.last
        for _ in range(latest - 1):
            begin = self._previous(begin)
        return (
            self._stretch(stretch.first, begin),
            Stretch(latest, begin, stretch.last),
        )

    def _stretch(self, first: datetime, high: datetime) -> Stretch:
        if isinstance(self._schedule, Every):
            step = timedelta(seconds=self._schedule.every_s)
            count = (high - _INSTANT - first) // step + 1
            return Stretch(count, first, first + (count - 1) * step)
        found = list(islice(self._iterate(first, high), COUNTED_MAX))
        last = found[-1] if len(found) < COUNTED_MAX else self._previous(high)
        return Stretch(len(found), first, last)

    def _iterate(self, first: datetime, high: datetime) -> Iterator[datetime]:
        moment: datetime | None = first
        while moment is not None and moment < high:
            yield moment
            moment = self._at_or_after(moment + _INSTANT)

    def _at_or_after(self, moment: datetime) -> datetime | None:
        if moment <= self._due:
            return self._due
        if isinstance(self._schedule, Every):
            step = timedelta(seconds=self._schedule.every_s)
            return self._due + -((self._due - moment) // step) * step
        if not isinstance(self._schedule, Cron):
            return None  # an event was the fire, and there is one only
        fire = self._schedule.next_fire(moment - self._offset - _INSTANT)
        return None if fire is None else fire + self._offset

    def _previous(self, moment: datetime) -> datetime:
        """The fire before `moment`; the first one where there is none."""
        if isinstance(self._schedule, Every):
            return moment - timedelta(seconds=self._schedule.every_s)
        if not isinstance(self._schedule, Cron):
            return self._due
        fire = self._schedule.previous_fire(moment - self._offset)
        return self._due if fire is None else max(self._due, fire + self._offset)
