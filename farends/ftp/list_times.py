"""Times as LIST writes them: in the host's own zone, to the minute, or to the day for what is old. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from farends.wire.month_names import find_month

PRECISION_NS = 60 * 10**9
_AHEAD = timedelta(days=1)  # a host's clock may go before ours by so much


@dataclass(frozen=True, slots=True)
class When:
    """A time as a row tells it. `month` 0: not known which; `year` None: not told."""

    year: int | None
    month: int
    day: int
    hour: int = 0
    minute: int = 0
    second: int = 0


@dataclass(frozen=True, slots=True)
class ListClock:
    """The zone that a host lists in, and the time at which it is asked."""

    zone: tzinfo
    now: datetime

    def find_ns(self, when: When) -> int | None:
        """A row without a year speaks of the last such day. None for what is no time."""
        if when.year is not None:
            return self._ns(when, when.year)
        year = self.now.astimezone(self.zone).year
        for candidate in (year + 1, year, *range(year - 1, year - 5, -1)):  # to the last Feb 29
            found = self._ns(when, candidate)
            if found is not None and found <= (self.now + _AHEAD).timestamp() * 10**9:
                return found
        return None

    def unix_ns(self, month: bytes, day: bytes, clock_or_year: bytes) -> int | None:
        """`Nov`, `14`, and `22:13` or `2023`."""
        hour, colon, minute = clock_or_year.partition(b":")
        number = find_month(month) or 0
        if not colon:
            return self.find_ns(When(int(clock_or_year), number, int(day)))
        return self.find_ns(When(None, number, int(day), int(hour), int(minute)))

    def _ns(self, when: When, year: int) -> int | None:
        try:
            told = datetime(
                year, when.month, when.day, when.hour, when.minute, when.second, tzinfo=self.zone
            )
            return round(told.astimezone(UTC).timestamp()) * 10**9
        except (ValueError, OverflowError):
            return None
