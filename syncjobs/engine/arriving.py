"""Files that have arrived: made durable and receipted together, bytes first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from connectors.contract import Fetched
from connectors.errors import TransportError
from datasets.blobs import BlobStore
from datasets.catalog import Arrived, Counts, Listed, Pair, Told
from datasets.partials import Received
from syncjobs.engine.progress import Progress

COMMIT_FILES = 1_000
COMMIT_BYTES = 256 << 20
COMMIT_INTERVAL_S = 3.0


class Catalog(Protocol):
    """What the engine needs to know of a dataset; `datasets.catalog.Catalog` is the real one."""

    def stage(self, files: Iterable[Listed]) -> None: ...
    def compare(self, is_equal: Callable[[Pair], bool | None]) -> Counts: ...
    def iter_asked(self) -> Iterator[Listed]: ...
    def take_told(self, told: list[Told]) -> None: ...
    def count(self) -> Counts: ...
    def iter_wanted(self) -> Iterator[Listed]: ...
    def settle(self, arrived: list[Arrived]) -> None: ...


class Batch:
    """Flushed when it is large or old enough, at the end, and before an error of the far end goes on."""

    def __init__(self, store: BlobStore, catalog: Catalog, progress: Progress) -> None:
        self._store = store
        self._catalog = catalog
        self._progress = progress
        self._arrived: list[Arrived] = []
        self._received: list[Received] = []
        self._bytes = 0
        self._flushed_at = time.monotonic()

    def add(self, arrived: Arrived, fetched: Fetched) -> None:
        self._arrived.append(arrived)
        self._received.append(receipt_of(fetched))
        self._bytes += arrived.size_bytes
        if (
            len(self._arrived) >= COMMIT_FILES
            or self._bytes >= COMMIT_BYTES
            or time.monotonic() - self._flushed_at >= COMMIT_INTERVAL_S
        ):
            self.flush()

    def flushing_on_error(self, fetched: Iterator[Fetched]) -> Iterator[Fetched]:
        """What came before a far end failed is kept, so that the next attempt gets further."""
        try:
            yield from fetched
        except TransportError:
            self.flush()
            raise

    def flush(self) -> None:
        """Bytes first, receipts last: a receipt never names what is not on disk."""
        self._store.commit(self._received)
        self._catalog.settle(self._arrived)
        self._progress.kept(len(self._arrived))
        self._arrived.clear()
        self._received.clear()
        self._bytes = 0
        self._flushed_at = time.monotonic()


def receipt_of(fetched: Fetched) -> Received:
    if not isinstance(fetched.receipt, Received):
        raise TypeError("a transport answered for a file without its receipt")
    return fetched.receipt
