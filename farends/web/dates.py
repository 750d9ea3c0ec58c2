"""Dates in HTTP header fields (RFC 9110 §5.6.7). Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
RETRY_AFTER_MAX_S = 24 * 3600.0
_DATE_MAX = 64  # characters; none of the forms has more

_FIXDATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT",
    re.ASCII,
)


def epoch_s(text: str | None) -> float | None:
    """Seconds since the epoch; None for no date, or none that can be read."""
    if not text or len(text) > _DATE_MAX:
        return None
    try:
        if plain := _FIXDATE.fullmatch(text):  # what every server should send
            day, month, *rest = plain.groups()
            year, hour, minute, second = map(int, rest)
            number = _MONTHS.index(month) + 1
            moment = datetime(year, number, int(day), hour, minute, second, tzinfo=UTC)
            return moment.timestamp()
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):  # IndexError: the parser's own
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def modified_ns(text: str | None) -> int | None:
    seconds = epoch_s(text)
    return None if seconds is None else int(seconds) * 1_000_000_000


def iso_ns(text: str) -> int | None:
    """Nanoseconds since the epoch of an ISO 8601 time with its zone; whole seconds only."""
    try:
        moment = datetime.fromisoformat(text.strip()) if len(text) <= _DATE_MAX else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return int(moment.timestamp()) * 1_000_000_000


@lru_cache(4096)
def minute_ns(text: str) -> int | None:
    """Nanoseconds since the epoch of `07-Nov-2026 12:00`, taken as UTC: what nginx writes in a row."""
    try:
        day, month, year = text[:11].split("-")
        hour, minute = text[12:17].split(":")
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), tzinfo=UTC
        )
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000


def seconds_until(
    retry_after: str | None, date: str | None, *, now_s: float | None = None
) -> float | None:
    """Retry-After in seconds, 0 to a day (RFC 9110 §10.2.3). A date in it is measured from the host's own clock, which its
    field Date tells, else from `now_s`, seconds since the epoch."""
    if not retry_after:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_MAX_S)
    until_s, told_s = epoch_s(text), epoch_s(date)
    began_s = now_s if told_s is None else told_s
    if until_s is None or began_s is None:
        return None
    return min(max(until_s - began_s, 0.0), RETRY_AFTER_MAX_S)
