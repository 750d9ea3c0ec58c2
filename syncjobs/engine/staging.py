"""The first step of a file sync: what the far end lists, as the job selects it, goes into the catalog."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from datasets.catalog import Listed
from farends.contract import INCOMPLETE, RemoteEntry, Skipped
from farends.names import to_text
from syncjobs.core.selection import LIMITS, MARKER, Exclusion
from syncjobs.engine.arriving import Catalog
from syncjobs.engine.listing import Listing
from syncjobs.engine.order import Attempt, Order
from syncjobs.engine.progress import Trouble
from syncjobs.engine.source import Source

STAGED_AT_ONCE = 5_000
STAGED_AFTER_S = 1.0  # so that a slow listing shows that it goes on
INDEXED_BYTES_MAX = 2_500  # of the text form: what an index row of PostgreSQL takes

T = TypeVar("T")


class Staging:
    """Stages one listing. What the job leaves out on purpose is dropped; what a limit leaves out, and
    what may be half of a file, is told and left for a later record."""

    def __init__(self, order: Order, source: Source, catalog: Catalog, attempt: Attempt) -> None:
        self._order = order
        self._source = source
        self._catalog = catalog
        self._check = attempt.check
        self._progress = attempt.progress

    def stage(self, listing: Listing) -> None:
        for batch in split_batches(self._select(iter(listing)), STAGED_AT_ONCE):
            self._check()
            self._catalog.stage(batch)
            self._progress.listed(len(batch))
        if self._order.selection.done is not None:
            self._defer_unmarked()
        self._progress.moved()

    def _select(self, seen: Iterator[RemoteEntry | Skipped]) -> Iterator[Listed]:
        find_exclusion = self._order.selection.find_exclusion
        may_take = self._order.may_take
        is_part = self._order.only is not None
        for item in seen:
            self._progress.moved()
            path = to_text(item.path)
            if is_part and not may_take(_shorten(path)):
                continue
            if isinstance(item, Skipped):
                action = "failed" if item.reason in INCOMPLETE else "skipped"
                self._tell(path or ".", action, item.reason.value, item.message)
                continue
            if len(path.encode()) > INDEXED_BYTES_MAX:
                words = f"the path takes over {INDEXED_BYTES_MAX} bytes"
                self._tell(_shorten(path), "failed", "path_too_long", words)
                continue
            age_s = self._source.age_s(item.modified_ns)
            excluded = find_exclusion(path, item.size_bytes, age_s)
            listed = (
                self._take(path, item) if excluded is None else self._exclude(path, item, excluded)
            )
            if listed is not None:
                yield listed

    def _take(self, path: str, item: RemoteEntry) -> Listed:
        """A file that may still be being written is seen, and left for a later record."""
        self._source.note_time(item.modified_ns)
        settle_s = self._order.settle_s
        settling = settle_s > 0 and self._source.is_settling(item.modified_ns, settle_s)
        if settling:
            words = f"changed less than {settle_s} s before the listing"
            self._tell(path, "deferred", "settling", words)
        done = self._order.selection.done
        return Listed(
            path,
            item.size_bytes,
            item.modified_ns,
            item.etag,
            deferred=settling,
            needs=done.marker_of(path) if done else None,
        )

    def _exclude(self, path: str, item: RemoteEntry, excluded: Exclusion) -> Listed | None:
        """A pattern leaves out what a person named; a limit may surprise, so it is told, and what is
        held of a file that came to pass it stays."""
        if excluded.rule == MARKER:
            return Listed(path, None, None, None, marker=True)
        if excluded.rule not in LIMITS:
            return None
        self._tell(path, "skipped", LIMITS[excluded.rule], excluded.detail)
        return Listed(path, item.size_bytes, item.modified_ns, item.etag, deferred=True)

    def _defer_unmarked(self) -> None:
        """A file whose marker is not in the same listing may be half of what it will be."""
        for path, marker in self._catalog.defer_unmarked():
            self._tell(
                path, "deferred", "waiting_for_marker", f"its marker {marker} is not there yet"
            )

    def _tell(self, path: str, action: str, code: str, words: str) -> None:
        self._progress.trouble(Trouble(path, action, code, words))


def _shorten(path: str) -> str:
    """The path as a trouble tells it."""
    if not path:
        return "."
    return f"{path[:200]}…" if len(path.encode()) > INDEXED_BYTES_MAX else path


def split_batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yields at most `size` items at once, and fewer after a while."""
    batch: list[T] = []
    until = time.monotonic() + STAGED_AFTER_S
    for item in items:
        batch.append(item)
        if len(batch) >= size or time.monotonic() >= until:
            yield batch
            batch, until = [], time.monotonic() + STAGED_AFTER_S
    if batch:
        yield batch
