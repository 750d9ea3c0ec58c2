"""Bounds what holds a thread of the web process for long: streams, downloads, calls to far ends.

So many in all, so many of one workspace, and, where that is asked for, of one person or token.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID


class NoPlace(Exception):
    """All places are taken. `ours`: by the workspace or the person that asks for one more, of which `most` are
    granted; else by others."""

    def __init__(self, most: int, *, ours: bool) -> None:
        super().__init__(f"{most} places are taken")
        self.most = most
        self.ours = ours


class Slots:
    """The slots of one kind, in this process."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._taken: Counter[str] = Counter()
        self._count = 0
        self._waits = False  # somebody does

    @property
    def count(self) -> int:
        return self._count

    def take(self, most: int, of_each: Mapping[str, int], *, within_s: float = 0.0) -> None:
        """A place in the name of each of these. Raises NoPlace. Whoever takes one gives it back.

        One thread at a time may wait for a place, `within_s`: those who ask beside it are refused at once."""
        with self._freed:
            full = self._refusal(most, of_each)
            if full is not None and within_s and not self._waits:
                full = self._wait(most, of_each, time.monotonic() + within_s)
            if full is not None:
                raise full
            self._count += 1
            self._taken.update(of_each.keys())

    def _wait(self, most: int, of_each: Mapping[str, int], until: float) -> NoPlace | None:
        self._waits = True
        try:
            while (full := self._refusal(most, of_each)) is not None:
                if not self._freed.wait(until - time.monotonic()):
                    break
            return full
        finally:
            self._waits = False

    def _refusal(self, most: int, of_each: Mapping[str, int]) -> NoPlace | None:
        for name, most_of_it in of_each.items():
            if self._taken[name] >= most_of_it:
                return NoPlace(most_of_it, ours=True)
        return NoPlace(most, ours=False) if self._count >= most else None

    def give_back(self, names: tuple[str, ...]) -> None:
        with self._freed:
            self._count -= 1
            self._taken.subtract(names)
            for name in names:
                if not self._taken[name]:
                    del self._taken[name]
            self._freed.notify()

    @contextmanager
    def held(self, most: int, of_each: Mapping[str, int]) -> Iterator[None]:
        """Raises NoPlace."""
        self.take(most, of_each)
        try:
            yield
        finally:
            self.give_back(tuple(of_each))


class Pieces:
    """The pieces of an answer, and a place that is free again when they are no longer wanted: at the end, when the client
    has gone, and where nobody ever asked for the first."""

    def __init__(self, pieces: Iterator[bytes], places: Slots, names: tuple[str, ...]) -> None:
        self._pieces = pieces
        self._give_back = weakref.finalize(self, places.give_back, names)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        if (close := getattr(self._pieces, "close", None)) is not None:
            close()
        self._give_back()


# What may be under way in one web process; it has threads for all of these and for others beside them, see
# `syncproject.serving`.
calls = Slots()  # to far ends
CALLS_MAX, CALLS_OF_WORKSPACE = 6, 3
downloads = Slots()  # of files that are too long for one write
DOWNLOADS_MAX, DOWNLOADS_OF_WORKSPACE = 24, 8
SENT_AT_ONCE = 256 * 1024
streams = Slots()  # of events; how many, the settings say
listens = Slots()  # of agents, for new versions
LISTENS_MAX, LISTENS_OF_TOKEN = 4, 1
RETRY_S = 5


def hold_download(pieces: Iterator[bytes], size_bytes: int, workspace_id: UUID) -> Iterator[bytes]:
    """The pieces, which hold a place where they are too many to be sent in one go. Raises NoPlace."""
    if size_bytes <= SENT_AT_ONCE:
        return pieces
    try:
        downloads.take(DOWNLOADS_MAX, {str(workspace_id): DOWNLOADS_OF_WORKSPACE})
    except NoPlace:
        if (close := getattr(pieces, "close", None)) is not None:
            close()
        raise
    return Pieces(pieces, downloads, (str(workspace_id),))
