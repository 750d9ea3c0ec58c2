"""Times as LIST writes them: in the host's own zone, to the minute, or to the day for what is old. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

PRECISION_NS = 60 * 10**9
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"),
        start=1,
    )
}  # fmt: skip
_AHEAD = timedelta(days=1)  # a host's clock may go before ours by so much


@dataclass(frozen=True, slots=True)
class ListClock:
    """The zone that a host lists in, and the time at which it is asked."""

    zone: tzinfo
    now: datetime

    def unix_ns(self, month: bytes, day: bytes, clock_or_year: bytes) -> int | None:
        """A row without a year speaks of the last such day. None for what is no time."""
        number = _MONTHS.get(month.lower(), 0)
        hour, colon, minute = clock_or_year.partition(b":")
        if not colon:
            return self._ns(int(clock_or_year), number, int(day), 0, 0)
        year = self.now.astimezone(self.zone).year
        for candidate in (year + 1, year, *range(year - 1, year - 5, -1)):  # to the last Feb 29
            found = self._ns(candidate, number, int(day), int(hour), int(minute))
            if found is not None and found <= (self.now + _AHEAD).timestamp() * 10**9:
                return found
        return None

    def iis_ns(self, date: bytes, clock: bytes) -> int | None:
        """`11-14-23` or `11-14-2023`, and `10:13PM` or `22:13`."""
        month, day, year = (int(part) for part in date.split(b"-"))
        if year < 100:
            year += 1900 if year >= 70 else 2000
        hour, minute = int(clock[:2]), int(clock[3:5])
        if clock.endswith((b"AM", b"PM")):
            hour = hour % 12 + (12 if clock.endswith(b"PM") else 0)
        return self._ns(year, month, day, hour, minute)

    def _ns(self, year: int, month: int, day: int, hour: int, minute: int) -> int | None:
        try:
            told = datetime(year, month, day, hour, minute, tzinfo=self.zone)
            return round(told.astimezone(UTC).timestamp()) * 10**9
        except (ValueError, OverflowError):
            return None
