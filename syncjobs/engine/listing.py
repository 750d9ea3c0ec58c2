"""The far end's listing, looked at once more where a folder failed, and what it leaves in doubt."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from farends.contract import (
    INCOMPLETE,
    Reason,
    RemoteEntry,
    RoundListing,
    Seen,
    Skipped,
    Transport,
)
from farends.errors import ListingTooLong, Throttled, TransportError

# Before each further look at the folders that failed: most hosts refuse for a moment only.
PAUSES_S = (0.5, 2.0)
AGAIN_MAX = 1_000  # folders that are looked at once more
TOLD_BYTES_MAX = 16 << 20  # of what is remembered of links and of round listings
_TICK_S = 0.25

T = TypeVar("T", RoundListing, Skipped)


class Listing:
    """One look at a tree. Iterate it once; what it found out stands afterwards.

    A folder that failed and may do better is listed again after all others, so a file may be yielded
    twice. What fails in the end is yielded as it was told.
    """

    def __init__(
        self,
        transport: Transport,
        check: Callable[[], None],
        *,
        most: int | None = None,
    ) -> None:
        """`most` bounds the rows, of whatever kind; more raise ListingTooLong."""
        self._transport = transport
        self._check = check
        self._most = sys.maxsize if most is None else most
        self._rows = 0
        self._again: list[Skipped] = []
        self._told_bytes = 0
        self.complete = True
        self.round: list[RoundListing] = []
        self.elsewhere: list[Skipped] = []
        self.emptiness: TransportError | None = None  # why the whole listing is empty

    def __iter__(self) -> Iterator[RemoteEntry | Skipped]:
        try:
            yield from self._sort(self._transport.walk())
        except TransportError as exc:
            if not exc.of_empty_listing:
                raise
            self.emptiness = exc
        for pause_s in PAUSES_S:
            failed, self._again = self._again, []
            if failed:
                self._pause(pause_s)
            for folder in failed:
                yield from self._sort(self._walk_again(folder))
        for folder in self._again:
            self.complete = False
            yield folder

    def _walk_again(self, folder: Skipped) -> Iterator[Seen]:
        """The folder's tree, with paths from the root of the listing."""
        try:
            for item in self._transport.walk_again(folder.path):
                yield replace(item, path="/".join(filter(None, (folder.path, item.path))))
        except Throttled:
            raise
        except TransportError as exc:
            yield replace(folder, message=str(exc), retryable=exc.retryable)

    def _sort(self, seen: Iterator[Seen]) -> Iterator[RemoteEntry | Skipped]:
        for item in seen:
            self._rows += 1
            if self._rows > self._most:
                raise ListingTooLong(
                    f"the source lists more than {self._most} rows (SYNC_MAX_LISTED_FILES)"
                )
            if isinstance(item, RemoteEntry):
                yield item
            elif isinstance(item, RoundListing):
                self._remember(self.round, item)
            elif item.reason is Reason.LEADS_ELSEWHERE:
                self._remember(self.elsewhere, replace(item, message=item.message[:500]))
            elif item.retryable and item.path and len(self._again) < AGAIN_MAX:
                self._again.append(item)
            else:
                self.complete = self.complete and item.reason not in INCOMPLETE
                yield item

    def _remember(self, told: list[T], item: T) -> None:
        """What is too much to remember must not be taken for harmless."""
        self._told_bytes += len(item.path) + 200  # and the words that go with it
        if self._told_bytes <= TOLD_BYTES_MAX:
            told.append(item)
        else:
            self.complete = False

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, _TICK_S))
