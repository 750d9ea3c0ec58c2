"""When a job is due: cron in an IANA zone, every so many seconds, daily, hourly or weekly at a time, or after
other jobs.

Written form (YAML, API): `{cron, timezone}`, `{every_s, counted_from}`, `{frequency, time, weekday, timezone}`,
`{after, condition}`, or nothing for a job that runs by hand. cronsim computes cron: a time that a DST gap
swallows fires once at the next valid instant, one that an overlap repeats fires once (Vixie cron's rule).
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
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FREQUENCIES = ("hourly", "daily", "weekly")
PARENTS_MAX = 100


class InvalidSchedule(ValueError):
    """The schedule says nothing that can be obeyed; the message says what is wrong."""


class CountedFrom(StrEnum):
    """Where an interval begins."""

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
@lru_cache(maxsize=8192)
def _step(expression: str, timezone: str, moment: datetime, *, back: bool) -> datetime | None:
    local = moment.astimezone(ZoneInfo(timezone))
    found = next(CronSim(expression, local, reverse=back), None)
    return found.astimezone(UTC) if found else None


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
    if unknown := sorted(set(given) - _FORMS[form]):
        raise InvalidSchedule(f"{unknown[0]} does not belong to a schedule with {form}")
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
    """As `parse_schedule`, of the written form as JSON: jobs share a few hundred schedules. Raises InvalidSchedule."""
    return parse_schedule(json.loads(text))


def _zone(given: Mapping[str, Any]) -> str:
    name = str(given.get("timezone", "UTC"))
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule(
            f"no time zone {name!r}; use an IANA name such as Europe/Berlin"
        ) from None
    return name


def _cron(expression: str, timezone: str, words: str) -> Cron:
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=ZoneInfo(timezone)))
    except CronSimError as exc:
        raise InvalidSchedule(f"cron {expression!r}: {exc}") from None
    return Cron(expression, timezone, words)


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


def offset_of(job_id: uuid.UUID, jitter_s: int) -> timedelta:
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
