"""When a job is due: cron in an IANA zone, every so many seconds, daily, hourly or weekly at a time, or after
other jobs.

Written form (YAML, API): `{cron, timezone}`, `{every_s, counted_from}`, `{frequency, time, weekday, timezone}`,
`{after, condition}`, or nothing for a job that runs by hand.

Cron has five fields: minute, hour, day of month, month, weekday (0 and 7: Sunday), with names, lists, ranges,
steps, and `L`, `LW`, `5L`, `MON#2`. No seconds, no `W`, no `@daily`. As in Vixie's and Debian's cron, either day
will do where neither field begins with `*`; else both must fit. cronsim reads it and finds times on a clock
without a zone; here these become instants, the same ones forwards and backwards:

- Where neither minute nor hour begins with `*`, a time fires once, at the first instant at which the zone's clock
  shows it or a later one: one that a gap (DST begins) swallows at the end of the gap, one that an overlap (DST ends)
  repeats the first time. Times that share an instant, as the swallowed ones do, fire once together.
- Where one of them does (`*/15 * * * *`, `0 * * * *`), a fire is each minute at which the clock shows such a time:
  none in a gap, both times in an overlap. So `0 * * * *` is hourly in real time, but where the clock is put by
  half an hour; and `*/15 2 * * *` rests on the day on which there is no 2 o'clock.

An interval is counted in real time and knows no DST.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from timing.zones import UnknownZone, find_zone, first_instant, last_bound, next_bound

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FREQUENCIES = ("hourly", "daily", "weekly")
PARENTS_MAX = 100
CRON_MAX = 500  # characters: each minute and each hour, listed
_LOOKS = 200  # stretches of one offset, for a cron that begins with `*`: 50 years
FAR = timedelta(hours=1)  # clocks that are put right by less are no matter
_INSTANT = timedelta(microseconds=1)


class InvalidSchedule(ValueError):
    """The schedule says nothing that can be obeyed; the message says what is wrong."""


class CountedFrom(StrEnum):
    """The moment from which an interval is counted."""

    START = "start"  # at the last fire: a fixed grid, however long a record takes
    END = "end"  # when the job's last record ended: the same rest between any two


class Condition(StrEnum):
    """When a job that follows others is due."""

    ALL_SUCCEEDED = "all_succeeded"  # each has succeeded since this job was due last
    ANY_FINISHED = "any_finished"  # one of them has ended, however it did


@dataclass(frozen=True, slots=True)
class Manual:
    """Never due by itself."""

    def next_fire(self, after: datetime) -> None:
        return None

    def describe(self) -> str:
        return "by hand"


@dataclass(frozen=True, slots=True)
class Every:
    """Due each `every_s` seconds, counted from the last fire, or from the end of the last record."""

    every_s: int
    counted_from: CountedFrom = CountedFrom.START

    def next_fire(self, after: datetime) -> datetime:
        return after + timedelta(seconds=self.every_s)

    def describe(self) -> str:
        if self.counted_from is CountedFrom.END:
            return f"{self.every_s} s after its last record has ended"
        return f"every {self.every_s} s"


@dataclass(frozen=True, slots=True)
class Cron:
    expression: str
    timezone: str
    words: str = ""

    def next_fire(self, after: datetime) -> datetime | None:
        """The first fire strictly after `after`, in UTC; None where there is none in 50 years."""
        return _step(self.expression, self.timezone, after, back=False)

    def previous_fire(self, before: datetime) -> datetime | None:
        """The last fire strictly before `before`, in UTC."""
        return _step(self.expression, self.timezone, before, back=True)

    def describe(self) -> str:
        return f"{self.words or self.expression} ({self.timezone})"


@dataclass(frozen=True, slots=True)
class After:
    """Due when other jobs of its workspace have ended; see `Condition`."""

    jobs: tuple[str, ...]
    condition: Condition = Condition.ALL_SUCCEEDED

    def next_fire(self, after: datetime) -> None:
        return None

    def describe(self) -> str:
        names = ", ".join(self.jobs)
        if self.condition is Condition.ANY_FINISHED:
            return f"when {'any of ' * (len(self.jobs) > 1)}{names} has ended"
        return f"when {names} {'has' if len(self.jobs) == 1 else 'have'} succeeded"


Schedule = Manual | Every | Cron | After


# At a full hour thousands of jobs ask for the same step.
@lru_cache(maxsize=16_384)
def _step(expression: str, timezone: str, moment: datetime, *, back: bool) -> datetime | None:
    zone = ZoneInfo(timezone)
    minute, hour = expression.split()[:2]
    if minute.startswith("*") or hour.startswith("*"):
        search = _last_shown if back else _first_shown
    else:
        search = _last_reached if back else _first_reached
    return search(expression, zone, moment.astimezone(UTC))


def _first_reached(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    for local in CronSim(expression, _clock(zone, after)):
        fire = first_instant(local, zone)
        if fire > after:  # in an overlap, what was reached the first time is past
            return fire
    return None


def _last_reached(expression: str, zone: ZoneInfo, before: datetime) -> datetime | None:
    shown = before.astimezone(zone)
    # In the second pass of an overlap, times that the clock is still to show were reached in the first.
    ahead = (
        (shown.replace(fold=0).utcoffset() or timedelta())
        - (shown.utcoffset() or timedelta())
    )  # fmt: skip
    for local in CronSim(expression, _clock(zone, before) + ahead, reverse=True):
        fire = first_instant(local, zone)
        if fire < before:
            return fire
    return None


def _first_shown(expression: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """A stretch of one offset after the other: the clock runs evenly in each."""
    beyond = after
    for _ in range(_LOOKS):
        clock = _clock(zone, beyond + _INSTANT) - _INSTANT
        local = next(CronSim(expression, clock), None)
        if local is None:
            return None
        fire, bound = beyond + (local - clock), next_bound(zone, beyond + _INSTANT)
        if fire < bound:
            return fire
        beyond = bound - _INSTANT
    return None


def _last_shown(expression: str, zone: ZoneInfo, before: datetime) -> datetime | None:
    for _ in range(_LOOKS):
        clock = _clock(zone, before - _INSTANT) + _INSTANT
        local = next(CronSim(expression, clock, reverse=True), None)
        if local is None:
            return None
        fire, bound = before - (clock - local), last_bound(zone, before)
        if fire >= bound:
            return fire
        before = bound
    return None


def _clock(zone: ZoneInfo, at: datetime) -> datetime:
    """What the zone's clock shows, as a naive time."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


_FORMS: dict[str, set[str]] = {
    "cron": {"cron", "timezone"},
    "every_s": {"every_s", "counted_from"},
    "frequency": {"frequency", "time", "weekday", "timezone"},
    "after": {"after", "condition"},
}


def parse_schedule(given: Mapping[str, Any] | None) -> Schedule:
    """Raises InvalidSchedule."""
    if not given:
        return Manual()
    forms = [form for form in _FORMS if form in given]
    if len(forms) != 1:
        raise InvalidSchedule(f"give one of {', '.join(_FORMS)}")
    form = forms[0]
    if unknown := sorted(set(map(str, given)) - _FORMS[form]):
        raise InvalidSchedule(f"{unknown[0][:60]} does not belong to a schedule with {form}")
    match form:
        case "cron":
            return _cron(str(given["cron"]), _zone(given), "")
        case "every_s":
            return _every(given)
        case "after":
            return _after(given)
        case _:
            return _frequency(given)


@lru_cache(maxsize=8192)
def parse_text(text: str) -> Schedule:
    """Like `parse_schedule`, for the written form as JSON: jobs share a few hundred schedules. Raises InvalidSchedule."""
    return parse_schedule(json.loads(text))


def _zone(given: Mapping[str, Any]) -> str:
    try:
        return find_zone(given.get("timezone", "UTC")).key
    except UnknownZone as exc:
        raise InvalidSchedule(str(exc)) from None


_NEVER = "there is no such day"
_SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 — on any clock


def _cron(expression: str, timezone: str, words: str) -> Cron:
    told = f"cron {expression[:60]!r}"
    if len(expression) > CRON_MAX:
        raise InvalidSchedule(f"{told}... is longer than {CRON_MAX} characters")
    if (count := len(expression.split())) != 5:
        raise InvalidSchedule(
            f"{told} has {count} field{'s' * (count != 1)}; give five: minute, hour, day of month, month,"
            " weekday (and every_s for what is due more often than each minute)"
        )
    try:
        first = next(CronSim(expression, _SOME_DAY), None)
    except (CronSimError, ValueError) as exc:
        raise InvalidSchedule(f"{told}: {_in_words(expression, str(exc))}") from None
    if first is None:
        raise InvalidSchedule(f"{told}: {_NEVER}")
    return Cron(expression, timezone, words)


def _in_words(expression: str, problem: str) -> str:
    """cronsim says "Bad day-of-month" also of a day that none of the months has."""
    minute, hour, day, _, weekday = expression.split()
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", _SOME_DAY)
    except (CronSimError, ValueError):
        return problem
    return f"{_NEVER} in its months" if problem == "Bad day-of-month" else problem


def _every(given: Mapping[str, Any]) -> Every:
    seconds = given["every_s"]
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= 31_536_000:
        raise InvalidSchedule("every_s must be a whole number of seconds, from 1 to a year")
    counted_from = given.get("counted_from", CountedFrom.START)
    if counted_from not in [*CountedFrom]:
        raise InvalidSchedule(f"counted_from must be one of {', '.join(CountedFrom)}")
    return Every(seconds, CountedFrom(counted_from))


def _after(given: Mapping[str, Any]) -> After:
    names = given["after"]
    if (
        not isinstance(names, Sequence)
        or isinstance(names, str)
        or not 1 <= len(names) <= PARENTS_MAX
        or not all(isinstance(name, str) and name for name in names)
    ):
        raise InvalidSchedule("after must be a list of names of jobs")
    if twice := [name for index, name in enumerate(names) if name in names[:index]]:
        raise InvalidSchedule(f"after names {twice[0]} twice")
    condition = given.get("condition", Condition.ALL_SUCCEEDED)
    if condition not in [*Condition]:
        raise InvalidSchedule(f"condition must be one of {', '.join(Condition)}")
    return After(tuple(names), Condition(condition))


def _frequency(given: Mapping[str, Any]) -> Cron:
    frequency = str(given["frequency"])
    if frequency not in FREQUENCIES:
        raise InvalidSchedule(f"frequency must be one of {', '.join(FREQUENCIES)}")
    written = given.get("time", "02:00")
    if not isinstance(written, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", written):
        raise InvalidSchedule("time must be HH:MM, from 00:00 to 23:59")
    at = time.fromisoformat(written)
    weekday = str(given.get("weekday", "sunday")).lower()
    if weekday not in WEEKDAYS:
        raise InvalidSchedule(f"weekday must be one of {', '.join(WEEKDAYS)}")
    if frequency == "hourly":
        return _cron(f"{at.minute} * * * *", _zone(given), f"hourly at minute {at.minute}")
    if frequency == "daily":
        return _cron(f"{at.minute} {at.hour} * * *", _zone(given), f"daily at {at:%H:%M}")
    day = (WEEKDAYS.index(weekday) + 1) % 7
    words = f"weekly on {weekday.title()} at {at:%H:%M}"
    return _cron(f"{at.minute} {at.hour} * * {day}", _zone(given), words)


def draw_offset(job_id: uuid.UUID, jitter_s: int) -> timedelta:
    """How long after each of its fires this job is due: from 0 to `jitter_s`, the same for ever."""
    if not jitter_s:
        return timedelta(0)
    drawn = int.from_bytes(blake2b(job_id.bytes, digest_size=8).digest())
    return timedelta(seconds=drawn % (jitter_s + 1))


def first_due(
    schedule: Schedule, now: datetime, offset: timedelta = timedelta(0)
) -> datetime | None:
    """When a new, edited or resumed job is due. An interval is due at once (and its offset), so that a new
    job shows its first result; a clock time waits. What passed before `now` is never made up for."""
    if isinstance(schedule, Every):
        return now + offset
    fire = schedule.next_fire(now - offset)
    return None if fire is None else fire + offset


def drawn_near(
    schedule: Schedule, due: datetime, now: datetime, offset: timedelta
) -> datetime | None:
    """When a job is due whose time lies further ahead than its schedule ever plans; None where it does not. An
    interval keeps its grid, so that many jobs that were led astray together do not come back together."""
    if isinstance(schedule, Every):
        step = timedelta(seconds=schedule.every_s)
        if due <= now + step + offset + FAR:
            return None
        return due - step * ((due - now) // step)
    nearest = first_due(schedule, now, offset)
    return nearest if nearest is not None and due > nearest + FAR else None


def due_after(
    schedule: Schedule, due: datetime, now: datetime, offset: timedelta
) -> datetime | None:
    """When the job is due next, after it was at `due`, and later than `now`; None where only an event tells."""
    fire, latest = due - offset, now - offset
    if isinstance(schedule, Every):
        if schedule.counted_from is CountedFrom.END:
            return None
        step = timedelta(seconds=schedule.every_s)
        passed = max(0, (latest - fire) // step)
        return due + step * (passed + 1)
    following = schedule.next_fire(max(fire, latest))
    return None if following is None else following + offset
