"""Time zones: their names, and which instant a time on a zone's clock is. Pure.

The roof has their data read from the pinned package `tzdata`, so that all machines of a fleet agree.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tzdata

VERSION: str = tzdata.IANA_VERSION  # such as 2026f; a later one is greater

_SECOND = timedelta(seconds=1)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_NAME_MAX = 64


class UnknownZone(ValueError):
    """No such time zone; the message says so."""


def find_zone(name: object) -> ZoneInfo:
    """Finds a zone by its IANA name, exactly as it is written. Raises UnknownZone."""
    if isinstance(name, str) and len(name) <= _NAME_MAX and _NAME.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise UnknownZone(
        f"no time zone {str(name)[:_NAME_MAX]!r}; use an IANA name such as Europe/Berlin"
    )


@lru_cache(maxsize=16_384)
def first_instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When the zone's clock first shows the naive `local`, or a later time: of a time that comes twice, the
    first; of one that a gap swallows, the end of the gap. In UTC."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return instant
    # fold=0 reads the clock of before the gap, so this is past the change, by less than a day.
    return _find_change(instant - timedelta(days=1), instant, zone)


def next_bound(zone: ZoneInfo, at: datetime) -> datetime:
    """Until when the offset of `at` holds at least: where it changes, or a year ends. Later than `at`."""
    return next(
        bound for year in (at.year, at.year + 1) for bound in _bounds(zone, year) if bound > at
    )


def last_bound(zone: ZoneInfo, at: datetime) -> datetime:
    """Since when the offset of just before `at` has held at least. Earlier than `at`."""
    return next(
        bound
        for year in (at.year, at.year - 1)
        for bound in reversed(_bounds(zone, year))
        if bound < at
    )


@lru_cache(maxsize=4096)
def _bounds(zone: ZoneInfo, year: int) -> tuple[datetime, ...]:
    """The beginning of the year, and the instants in it at which the zone's offset changes."""
    day, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    found = [day]
    while day < end:
        following = day + timedelta(days=1)
        if _offset(day, zone) != _offset(following, zone):
            found.append(_find_change(day, following, zone))
        day = following
    return tuple(found)


def _find_change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The one instant later than `low`, and not later than `high`, at which the offset changes."""
    new = _offset(high, zone)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (low, middle) if _offset(middle, zone) == new else (middle, high)
    return high


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()
