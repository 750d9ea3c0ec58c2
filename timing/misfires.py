"""Decides what becomes of due fires: which get a record, which share one, which are skipped.

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

from timing.schedules import CountedFrom, Cron, Every, Schedule, due_after

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
    """Consecutive fires, as the instants when they were due; `more` than `count` where counting was given up."""

    count: int
    first: datetime
    last: datetime
    more: bool = False

    def describe(self) -> str:
        first, last = self.first.isoformat(), self.last.isoformat()
        if self.count == 1:
            return f"the fire of {first}"
        return f"{self.count}{' or more' * self.more} fires, {first} to {last}"


class SkippedBy(StrEnum):
    """The rule by which fires are not served; the verdict of the record that says so."""

    MISFIRE = "misfire"
    LATE = "late"
    OVERLAP = "overlap"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class SkippedFires:
    fires: Stretch
    rule: SkippedBy
    reason: str


@dataclass(frozen=True, slots=True)
class FireService:
    """What a due job gets: `serve` a record now, which serves `merged` as well; `catch_up` a record each, when the
    one before has ended; `skipped` none."""

    serve: datetime | None
    merged: Stretch | None = None
    catch_up: Stretch | None = None
    skipped: tuple[SkippedFires, ...] = field(default=())
    next_due: datetime | None = None

    def skip_all(self, rule: SkippedBy, reason: str) -> FireService:
        """Returns the same due time with no fire served, for this reason."""
        fires = [self.serve] if self.serve else []
        for stretch in (self.merged, self.catch_up):
            fires += [stretch.first, stretch.last] if stretch else []
        others = [stretch for stretch in (self.merged, self.catch_up) if stretch]
        count, more = sum(each.count for each in others) + 1, any(each.more for each in others)
        skipped = SkippedFires(Stretch(count, fires[0], fires[-1], more), rule, reason)
        return FireService(None, skipped=(*self.skipped, skipped), next_due=self.next_due)


def decide_service(schedule: Schedule, due: datetime, now: datetime, rules: Rules) -> FireService:
    """Decides for a job that is due since `due` <= `now`."""
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
            SkippedFires(
                too_late,
                SkippedBy.LATE,
                f"later than max_lateness_s allows ({rules.max_lateness_s} s)",
            )
        )
    if missed is not None and rules.policy is Misfire.SKIP:
        skipped.append(
            SkippedFires(missed, SkippedBy.MISFIRE, "missed, and the job's misfire policy is skip")
        )
        missed = None
    left = _joined(missed, in_time)
    if left is None:
        return FireService(None, skipped=tuple(skipped), next_due=next_due)
    if missed is not None and rules.policy is Misfire.CATCH_UP:
        older, left = fires.split(left, rules.catch_up_max)
        if older is not None:
            words = f"missed, and the job catches up with the latest {rules.catch_up_max} only"
            skipped.append(SkippedFires(older, SkippedBy.MISFIRE, words))
        rest = fires.after_first(left)
        return FireService(left.first, None, rest, tuple(skipped), next_due)
    return FireService(left.first, fires.after_first(left), None, tuple(skipped), next_due)


def _latest_of(moment: datetime, now: datetime, lateness_s: int | None) -> datetime:
    return moment if lateness_s is None else max(moment, now - timedelta(seconds=lateness_s))


def _joined(older: Stretch | None, newer: Stretch | None) -> Stretch | None:
    if older is None or newer is None:
        return newer or older
    return Stretch(older.count + newer.count, older.first, newer.last, older.more or newer.more)


class _Fires:
    """The instants from `due` on at which a job is due."""

    def __init__(self, schedule: Schedule, due: datetime, offset: timedelta) -> None:
        self._due = due
        self._offset = offset
        self._step = _step_of(schedule)
        self._cron = schedule if isinstance(schedule, Cron) else None

    def between(self, since: datetime, before: datetime) -> Stretch | None:
        """Returns the stretch from `since` until before `before`; None if it is empty."""
        first = self._at_or_after(since)
        return None if first is None or first >= before else self._stretch(first, before)

    def after_first(self, stretch: Stretch) -> Stretch | None:
        return self.between(stretch.first + _INSTANT, stretch.last + _INSTANT)

    def split(self, stretch: Stretch, latest: int) -> tuple[Stretch | None, Stretch]:
        """The older fires, and up to `latest` of the latest."""
        if stretch.count <= latest and not stretch.more:
            return None, stretch
        begin = stretch.last
        for _ in range(latest - 1):
            begin = self._previous(begin)
        return self.between(stretch.first, begin), Stretch(latest, begin, stretch.last)

    def _stretch(self, first: datetime, high: datetime) -> Stretch:
        if self._step is not None:
            count = (high - _INSTANT - first) // self._step + 1
            return Stretch(count, first, first + (count - 1) * self._step)
        found = list(islice(self._iterate(first, high), COUNTED_MAX + 1))
        if len(found) <= COUNTED_MAX:
            return Stretch(len(found), first, found[-1])
        return Stretch(COUNTED_MAX, first, self._previous(high), more=True)

    def _iterate(self, first: datetime, high: datetime) -> Iterator[datetime]:
        moment: datetime | None = first
        while moment is not None and moment < high:
            yield moment
            moment = self._at_or_after(moment + _INSTANT)

    def _at_or_after(self, moment: datetime) -> datetime | None:
        if moment <= self._due:
            return self._due
        if self._step is not None:
            return self._due + -((self._due - moment) // self._step) * self._step
        if self._cron is None:
            return None  # an event was the fire, and there is one only
        fire = self._cron.next_fire(moment - self._offset - _INSTANT)
        return None if fire is None else fire + self._offset

    def _previous(self, moment: datetime) -> datetime:
        """The fire before `moment`; the first one where there is none."""
        if self._step is not None:
            return max(self._due, moment - self._step)
        fire = self._cron.previous_fire(moment - self._offset) if self._cron is not None else None
        return self._due if fire is None else max(self._due, fire + self._offset)


def _step_of(schedule: Schedule) -> timedelta | None:
    """Returns the step of a fixed grid. An interval that is counted from the end of a record is due once, until that has ended."""
    if isinstance(schedule, Every) and schedule.counted_from is CountedFrom.START:
        return timedelta(seconds=schedule.every_s)
    return None
