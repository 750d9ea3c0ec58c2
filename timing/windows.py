"""Decides when work is allowed: weekly windows, and blackouts that win over them. Pure.

Written form: windows are `[{days: [mon, tue], from: "22:00", to: "06:00", timezone: Europe/Berlin}]`, where `days`
(the days on which a window begins; without: all) and `timezone` (without: UTC) may be left out, and a `to` that is not
after `from` lies on the next day: the same time twice is a whole day. Blackouts are the same, or `{since, until,
reason}` with two ISO 8601 times. No window: always allowed.

A window begins, and ends, at the first instant at which its zone's clock shows the time or a later one: so where an
overlap (DST ends) repeats 02:00 to 03:00, one to 02:30 ends in the first pass and one from 02:30 goes on through the
second; a time that a gap swallows is the end of the gap, and a window wholly in the gap is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from timing.zones import UnknownZone, find_zone, first_instant

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOWS_MAX = 50
_LOOK_DAYS = 8  # a week, and the day on which a window of the evening before ends
_LOOKS = 60  # so far ahead: more than a year


class InvalidWindow(ValueError):
    """A window that names no time; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of each of these weekdays (0: Monday), on the clock of its zone."""

    days: frozenset[int]
    start: time
    end: time
    timezone: str

    def spans(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its stretches that begin on the days from `since` to `until`, and a day before and after: an overlap
        may put the clock back to yesterday."""
        zone = ZoneInfo(self.timezone)
        day = since.astimezone(zone).date() - timedelta(days=1)
        last = until.astimezone(zone).date() + timedelta(days=1)
        while day <= last:
            if day.weekday() in self.days:
                ends_on = day if self.end > self.start else day + timedelta(days=1)
                yield _reach(day, self.start, zone), _reach(ends_on, self.end, zone)
            day += timedelta(days=1)

    def describe(self) -> str:
        days = "daily" if len(self.days) == 7 else ", ".join(DAYS[day] for day in sorted(self.days))
        return f"{days} {self.start:%H:%M} to {self.end:%H:%M} ({self.timezone})"


@dataclass(frozen=True, slots=True)
class Period:
    """One stretch of time."""

    since: datetime
    until: datetime
    reason: str = ""

    def spans(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        yield self.since, self.until

    def describe(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M} UTC{why}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The windows and blackouts of one job, or of one workspace."""

    windows: tuple[Window, ...] = ()
    blackouts: tuple[Window | Period, ...] = ()

    def is_open(self, at: datetime) -> bool:
        return (not self.windows or _any_covers(self.windows, at)) and not _any_covers(
            self.blackouts, at
        )

    @property
    def parts(self) -> tuple[Window | Period, ...]:
        return (*self.windows, *self.blackouts)


ALWAYS = Calendar()


def parse_calendar(windows: Any, blackouts: Any) -> Calendar:
    """Raises InvalidWindow."""
    return Calendar(parse_windows(windows), parse_blackouts(blackouts))


def parse_windows(given: Any) -> tuple[Window, ...]:
    """Raises InvalidWindow."""
    return tuple(_window(item) for item in _items(given))


def parse_blackouts(given: Any) -> tuple[Window | Period, ...]:
    """Raises InvalidWindow."""
    return tuple(
        _period(item) if "since" in item or "until" in item else _window(item)
        for item in _items(given)
    )


def is_open(calendars: Sequence[Calendar], at: datetime) -> bool:
    return all(calendar.is_open(at) for calendar in calendars)


def find_change(calendars: Sequence[Calendar], at: datetime) -> datetime | None:
    """When what is open at `at` closes next, or what is closed opens; None: not within a year."""
    if not any(calendar.parts for calendar in calendars):
        return None
    now_open = is_open(calendars, at)
    moment = at
    for _ in range(_LOOKS):
        until = moment + timedelta(days=_LOOK_DAYS)
        for bound, is_open_then in _iter_bounds(calendars, moment, until):
            if moment < bound <= until and is_open_then != now_open:
                return bound
        moment = until
    return None


def _iter_bounds(
    calendars: Sequence[Calendar], since: datetime, until: datetime
) -> Iterator[tuple[datetime, bool]]:
    """Each instant at which a window or blackout begins or ends, and whether work is allowed from then on."""
    steps: dict[datetime, list[tuple[int, int]]] = {}
    inside = [0] * (2 * len(calendars))  # how many windows, and how many blackouts, of each one
    for number, calendar in enumerate(calendars):
        for place, parts in ((2 * number, calendar.windows), (2 * number + 1, calendar.blackouts)):
            for begin, end in chain.from_iterable(part.spans(since, until) for part in parts):
                steps.setdefault(begin, []).append((place, 1))
                steps.setdefault(end, []).append((place, -1))
    for bound in sorted(steps):
        for place, step in steps[bound]:
            inside[place] += step
        yield (
            bound,
            all(
                (inside[2 * number] or not calendar.windows) and not inside[2 * number + 1]
                for number, calendar in enumerate(calendars)
            ),
        )


def _any_covers(parts: Iterable[Window | Period], at: datetime) -> bool:
    return any(since <= at < until for part in parts for since, until in part.spans(at, at))


def _reach(day: date, at: time, zone: ZoneInfo) -> datetime:
    return first_instant(datetime.combine(day, at), zone)


def _items(given: Any) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise InvalidWindow("give a list of windows, each with from and to")
    if len(given) > WINDOWS_MAX:
        raise InvalidWindow(f"at most {WINDOWS_MAX} can be given")
    return given


def _window(item: Mapping[str, Any]) -> Window:
    _refuse_unknown(item, {"days", "from", "to", "timezone"})
    start, end = _clock(item, "from"), _clock(item, "to")
    try:
        zone = find_zone(item.get("timezone", "UTC"))
    except UnknownZone as exc:
        raise InvalidWindow(str(exc)) from None
    return Window(_days(item.get("days", list(DAYS))), start, end, zone.key)


def _days(given: Any) -> frozenset[int]:
    names = [str(day).lower()[:3] for day in given] if isinstance(given, list) else []
    if not names or set(names) - set(DAYS):
        raise InvalidWindow(f"days must be a list of {', '.join(DAYS)}")
    return frozenset(DAYS.index(name) for name in names)


def _clock(item: Mapping[str, Any], name: str) -> time:
    if name not in item:
        raise InvalidWindow("a window has from and to, each HH:MM")
    written = item[name]
    if not isinstance(written, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", written, re.A):
        raise InvalidWindow(f'{name} must be "HH:MM", from "00:00" to "23:59"')
    return time.fromisoformat(written)


def _period(item: Mapping[str, Any]) -> Period:
    _refuse_unknown(item, {"since", "until", "reason"})
    since, until = _moment(item, "since"), _moment(item, "until")
    if until <= since:
        raise InvalidWindow("until must be later than since")
    return Period(since, until, str(item.get("reason", "")))


def _moment(item: Mapping[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(item[name])
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except KeyError:
        raise InvalidWindow("a blackout has since and until, or from and to") from None
    except (TypeError, ValueError, OverflowError):
        raise InvalidWindow(
            f"{name} must be an ISO 8601 time such as 2026-12-24T18:00:00Z"
        ) from None


def _refuse_unknown(item: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(map(str, item)) - known):
        raise InvalidWindow(
            f"unknown word {unknown[0][:60]!r}; known are {', '.join(sorted(known))}"
        )
