"""When work is allowed: weekly windows, and blackouts that win over them. Pure.

Written form: windows are `[{days: [mon, tue], from: "22:00", to: "06:00", timezone: Europe/Berlin}]`, where `days`
(the days on which a window begins; without: all) and `timezone` (without: UTC) may be left out, and a `to` that is not
after `from` lies on the next day. Blackouts are the same, or `{since, until, reason}` with two ISO 8601 times.
No window: always allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOWS_MAX = 50
_LOOK_DAYS = 8  # a week, and the day on which a window of the evening before ends
_LOOKS = 60  # so far ahead: more than a year


class InvalidWindow(ValueError):
    """It names no time; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of each of these weekdays (0: Monday), on the clock of its zone."""

    days: frozenset[int]
    start: time
    end: time
    timezone: str

    def spans(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its stretches that begin on the days from `since` to `until`, and the day before."""
        zone = ZoneInfo(self.timezone)
        day = since.astimezone(zone).date() - timedelta(days=1)
        last = until.astimezone(zone).date()
        while day <= last:
            if day.weekday() in self.days:
                ends_on = day if self.end > self.start else day + timedelta(days=1)
                yield _instant(day, self.start, zone), _instant(ends_on, self.end, zone)
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
    now_open = is_open(calendars, at)
    parts = [part for calendar in calendars for part in calendar.parts]
    moment = at
    for _ in range(_LOOKS if parts else 0):
        until = moment + timedelta(days=_LOOK_DAYS)
        bounds = {bound for part in parts for span in part.spans(moment, until) for bound in span}
        for bound in sorted(bounds):
            if moment < bound <= until and is_open(calendars, bound) != now_open:
                return bound
        moment = until
    return None


def _any_covers(parts: Iterable[Window | Period], at: datetime) -> bool:
    return any(since <= at < until for part in parts for since, until in part.spans(at, at))


@lru_cache(maxsize=4096)
def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A time that a DST gap swallows is the end of the gap; of one that comes twice, the first."""
    local = datetime.combine(day, at, tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # Of a time in a gap, fold=0 reads the clock of before, so it lies past the change of the clocks.
    low, high = int(instant.timestamp()) - 86_400, int(instant.timestamp())
    new = instant.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        changed = datetime.fromtimestamp(middle, zone).utcoffset() == new
        low, high = (low, middle) if changed else (middle, high)
    return datetime.fromtimestamp(high, UTC)


def _items(given: Any) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise InvalidWindow("give a list of windows, each with from and to")
    if len(given) > WINDOWS_MAX:
        raise InvalidWindow(f"at most {WINDOWS_MAX} can be given")
    return given


def _window(item: Mapping[str, Any]) -> Window:
    _refuse_unknown(item, {"days", "from", "to", "timezone"})
    start, end = _clock(item, "from"), _clock(item, "to")
    name = str(item.get("timezone", "UTC"))
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidWindow(
            f"no time zone {name!r}; use an IANA name such as Europe/Berlin"
        ) from None
    return Window(_days(item.get("days", list(DAYS))), start, end, name)


def _days(given: Any) -> frozenset[int]:
    names = [str(day).lower()[:3] for day in given] if isinstance(given, list) else []
    if not names or set(names) - set(DAYS):
        raise InvalidWindow(f"days must be a list of {', '.join(DAYS)}")
    return frozenset(DAYS.index(name) for name in names)


def _clock(item: Mapping[str, Any], name: str) -> time:
    try:
        at = time.fromisoformat(item[name])
    except KeyError:
        raise InvalidWindow("a window has from and to, each HH:MM") from None
    except (TypeError, ValueError):
        raise InvalidWindow(f"{name} must be HH:MM, from 00:00 to 23:59") from None
    if at.tzinfo is not None or at.second or at.microsecond:
        raise InvalidWindow(f"{name} must be HH:MM, from 00:00 to 23:59")
    return at


def _period(item: Mapping[str, Any]) -> Period:
    _refuse_unknown(item, {"since", "until", "reason"})
    since, until = _moment(item, "since"), _moment(item, "until")
    if until <= since:
        raise InvalidWindow("until must be later than since")
    return Period(since, until, str(item.get("reason", "")))


def _moment(item: Mapping[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(item[name])
    except KeyError:
        raise InvalidWindow("a blackout has since and until, or from and to") from None
    except (TypeError, ValueError):
        raise InvalidWindow(
            f"{name} must be an ISO 8601 time such as 2026-12-24T18:00:00Z"
        ) from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _refuse_unknown(item: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(map(str, item)) - known):
        raise InvalidWindow(f"unknown word {unknown[0]!r}; known are {', '.join(sorted(known))}")
