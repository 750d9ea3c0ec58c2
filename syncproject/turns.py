"""The turns of requests that could slow down all others: the interpreter runs one thread at a time, and each that wants it
waits for the others that do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class RecentlyBegun(Generic[T]):
    """The requests that were begun within the last `turn_s`. One that takes longer waits, for the database or a far end, and no
    longer counts."""

    def __init__(self, turn_s: float) -> None:
        self._turn_s = turn_s
        self._ends: dict[T, float] = {}  # in their order

    def begin(self, one: T) -> None:
        self._ends[one] = time.monotonic() + self._turn_s

    def end(self, one: T) -> None:
        self._ends.pop(one, None)

    def count(self) -> int:
        now = time.monotonic()
        for one in [one for one, end in self._ends.items() if end <= now]:
            del self._ends[one]
        return len(self._ends)

    def left_s(self) -> float:
        """Until the next one no longer counts; 0 where none does."""
        end = next(iter(self._ends.values()), 0.0)
        return max(0.0, end - time.monotonic())


class Turns(Generic[T]):
    """Who waits for a turn, in the order of coming. `most` work at a time, `most_beside` while `others` are at work."""

    def __init__(
        self, most: int, most_beside: int, turn_s: float, others: RecentlyBegun[T]
    ) -> None:
        self._most = most
        self._most_beside = most_beside
        self._at_work: RecentlyBegun[T] = RecentlyBegun(turn_s)
        self._others = others
        self._waiting: deque[T] = deque()

    def wait(self, one: T) -> None:
        self._waiting.append(one)

    def end(self, one: T) -> None:
        self._at_work.end(one)

    def take_next(self) -> T | None:
        """Who has its turn now; None where nobody has."""
        if not self._waiting:
            return None
        most = self._most_beside if self._others.count() else self._most
        if self._at_work.count() >= most:
            return None
        one = self._waiting.popleft()
        self._at_work.begin(one)
        return one

    def wait_s(self, most_s: float) -> float:
        """How long nobody's turn comes if nothing happens, up to `most_s`."""
        return min(most_s, self._at_work.left_s()) if self._waiting else most_s
