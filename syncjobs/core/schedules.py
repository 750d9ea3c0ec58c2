"""When a job is due: cron in an IANA zone, every so many seconds, daily, hourly or weekly at a time.

Written form (YAML, API): `{cron, timezone}`, `{every_s}`, `{frequency, time, weekday, timezone}`, or
nothing for a job that runs by hand. cronsim computes cron: a time that a DST gap swallows fires once
at the next valid instant, one that an overlap repeats fires once (Vixie cron's rule).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FREQUENCIES = ("hourly", "daily", "weekly")


class InvalidSchedule(ValueError):
    """The schedule says nothing that can be obeyed; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Manual:
    """Never due by itself."""

    def next_fire(self, after: datetime) -> None:
        return None

    def describe(self) -> str:
        return "by hand"


@dataclass(frozen=True, slots=True)
class Every:
    """Due each `every_s` seconds, counted from the last fire."""

    every_s: int

    def next_fire(self, after: datetime) -> datetime:
        return after + timedelta(seconds=self.every_s)

    def describe(self) -> str:
        return f"every {self.every_s} s"


@dataclass(frozen=True, slots=True)
class Cron:
    expression: str
    timezone: str
    words: str = ""

    def next_fire(self, after: datetime) -> datetime | None:
        """The first fire strictly after `after`, in UTC; None where there is none in 50 years."""
        local = after.astimezone(ZoneInfo(self.timezone))
        found = next(CronSim(self.expression, local), None)
        return found.astimezone(UTC) if found else None

    def describe(self) -> str:
        return f"{self.words or self.expression} ({self.timezone})"


Schedule = Manual | Every | Cron


def parse_schedule(given: Mapping[str, Any] | None) -> Schedule:
    """Raises InvalidSchedule."""
    if not given:
        return Manual()
    forms = [form for form in ("cron", "every_s", "frequency", "after") if form in given]
    if len(forms) != 1:
        raise InvalidSchedule("give one of cron, every_s or frequency")
    form = forms[0]
    takes = {
        "cron": {"cron", "timezone"},
        "every_s": {"every_s"},
        "frequency": {"frequency", "time", "weekday", "timezone"},
        "after": set(given),
    }[form]
    if unknown := sorted(set(given) - takes):
        raise InvalidSchedule(f"{unknown[0]} does not belong to a schedule with {form}")
    if form == "cron":
        return _cron(str(given["cron"]), _zone(given), "")
    if form == "every_s":
        return _every(given["every_s"])
    if form == "frequency":
        return _frequency(given)
    raise InvalidSchedule(
        "'after' is not supported by this version; use cron, every_s or frequency"
    )


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


def _every(seconds: Any) -> Every:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= 31_536_000:
        raise InvalidSchedule("every_s must be a whole number of seconds, from 1 to a year")
    return Every(seconds)


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


def first_fire(schedule: Schedule, now: datetime) -> datetime | None:
    """An interval is due at once, so that a new job shows its first result; a clock time waits."""
    return now if isinstance(schedule, Every) else schedule.next_fire(now)


def fire_after(schedule: Schedule, served: datetime, now: datetime) -> datetime | None:
    """The fire that follows `served` and lies in the future: fires in between are one misfire."""
    if isinstance(schedule, Every):
        missed = max(0, int((now - served).total_seconds() // schedule.every_s))
        return served + timedelta(seconds=schedule.every_s * (missed + 1))
    return schedule.next_fire(max(served, now))


def passes_over(schedule: Schedule, served: datetime, following: datetime | None) -> bool:
    """Whether fires lie between a served one and the one that is to follow it."""
    return following is not None and schedule.next_fire(served) != following
