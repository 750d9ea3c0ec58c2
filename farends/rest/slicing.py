"""Slices: a resource is read by one value of a parameter after the other, or by one window of time after the other,
each from its first page to its last. Pure.

Windows rise, and the last one has no end. So an object that changes while it is read moves to a window that is still
to come: it may be read twice, and is never missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from farends.rest.cursors import read_time, write_bound, write_time
from farends.rows.contract import CursorOrder, Mark

LOOKS_MAX = 20  # slices that a look at the first objects asks for
_SLICE, _LAST, _AT = "slice", "last", "at"  # words of a place

Params = list[tuple[str, str]]
Place = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Values:
    """One slice for each value of a parameter."""

    param: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of time from `start_s` on, each with its first moment and without its end. They lie where they lie
    whatever the time is, so that a reading that was cut finds its window again."""

    lower: str
    upper: str
    start_s: Decimal
    step_s: int
    form: str = "iso8601"

    def number_of(self, moment_s: Decimal) -> int:
        return max(0, math.floor((moment_s - self.start_s) / self.step_s))

    def write_start(self, number: int) -> str:
        return write_time(self.start_s + number * self.step_s, self.form)


Slicing = Values | Windows


def read_slicing(given: Mapping[str, Any], write_value: Callable[[object], str]) -> Slicing | None:
    """Raises ValueError, KeyError and TypeError for what is no slicing."""
    if not given:
        return None
    if "values" in given:
        return Values(str(given["param"]), tuple(map(write_value, given["values"])))
    start_s = read_time(str(given["start"]))
    if start_s is None:
        raise ValueError("start of slices is no time")
    return Windows(
        str(given["from"]),
        str(given["to"]),
        start_s,
        int(given["step_s"]),
        str(given.get("format") or "iso8601"),
    )


class Slices:
    """Those of one reading. A resource without slices is one, without parameters of its own. `since`: where the
    reading begins by its cursor; `now_s` is the host's clock."""

    def __init__(
        self,
        slicing: Slicing | None,
        now_s: float,
        cursor: CursorOrder | None = None,
        since: Mark | None = None,
    ) -> None:
        self._slicing = slicing
        self._bound: Params = []
        if cursor is not None and since is not None:
            self._bound = [(cursor.param, write_bound(cursor, since.text))]
        self._first, self._last = 0, 0
        self._head: Params = []  # how the first window begins, where a mark says it
        match slicing:
            case Values(values=values):
                self._last = len(values) - 1
            case Windows():
                self._place_windows(slicing, now_s, cursor)

    def _place_windows(self, windows: Windows, now_s: float, cursor: CursorOrder | None) -> None:
        """Where the cursor's parameter is that of the windows, they begin where the mark is."""
        self._last = windows.number_of(Decimal(str(now_s)))
        if cursor is None or not self._bound or cursor.param != windows.lower:
            return
        bound_s = read_time(self._bound[0][1], cursor.format)
        if bound_s is not None and bound_s > windows.start_s:
            self._first = windows.number_of(bound_s)
            self._last = max(self._first, self._last)
            self._head = self._bound
        self._bound = []

    def params(self, number: int) -> Params:
        """What the requests of this slice say besides their page."""
        match self._slicing:
            case Values(param, values):
                return [*self._bound, (param, values[number])]
            case Windows() as windows:
                start = self._head if number == self._first else []
                start = start or [(windows.lower, windows.write_start(number))]
                end = [(windows.upper, windows.write_start(number + 1))]
                return [*self._bound, *start, *(end if number < self._last else [])]
            case None:
                return self._bound

    def numbers_to_look_at(self) -> Iterator[int]:
        """Where objects are found soonest: of windows, the latest."""
        numbers = range(self._first, self._last + 1)
        return islice(
            reversed(numbers) if isinstance(self._slicing, Windows) else numbers, LOOKS_MAX
        )

    @property
    def are_few(self) -> bool:
        """Whether a look sees all of them."""
        return self._last - self._first < LOOKS_MAX

    def start(self, place: Place) -> tuple[int, Place]:
        """The slice, and the place in it, where a reading goes on that was cut. A place that is of other slices than
        these is that of the beginning."""
        number, last = place.get(_SLICE), place.get(_LAST)
        if self._slicing is None:
            return 0, {} if _SLICE in place else place
        if number is None or last is None or not self._first <= number <= last:
            return self._first, {}
        if isinstance(self._slicing, Values) and last != self._last:
            return self._first, {}
        self._last = int(last)  # the window without an end stays the one that it was
        return int(number), place[_AT]

    def following(self, number: int, place: Place | None) -> Place | None:
        """Where the reading goes on behind a page of a slice. None: that was the last page of the last slice."""
        if self._slicing is None:
            return place
        if place is None and number == self._last:
            return None
        number, place = (number + 1, {}) if place is None else (number, place)
        return {_SLICE: number, _LAST: self._last, _AT: place}

    def is_open(self, number: int) -> bool:
        """Whether it is the window without an end. What changes while the others are read moves there, so it is asked for
        when all others have been read."""
        return isinstance(self._slicing, Windows) and number == self._last

    def from_on(self, number: int) -> range:
        return range(number, self._last + 1)
