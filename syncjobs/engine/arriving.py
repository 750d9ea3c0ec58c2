"""Makes arrived files durable and writes their receipts, a batch at a time, while the next files arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from datasets.catalog import Counts, Listed, Pair, ToldDigest, TypeConflict
from datasets.receipts import Arrived
from farends.contract import Fetched
from farends.errors import TransportError
from store.blobs import BlobStore
from store.partials import Received
from syncjobs.engine.progress import Progress
from syncjobs.engine.stops import PUT_OFF

COMMIT_FILES = 1_000
COMMIT_BYTES = 256 << 20
COMMIT_BYTES_IN_MEMORY = 16 << 20
COMMIT_INTERVAL_S = 3.0


class Catalog(Protocol):
    """What the engine needs to know of a dataset; `datasets.catalog.Catalog` is the real one."""

    def stage(self, files: Iterable[Listed]) -> None: ...
    def defer_unmarked(self) -> Iterator[tuple[str, str]]: ...
    def compare(self, is_equal: Callable[[Pair], bool | None]) -> None: ...
    def keep(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]: ...
    def keep_beside(self, paths: Sequence[str]) -> Iterator[str]: ...
    def count_gone_from(self, folder: str) -> int: ...
    def defer_conflicts(self, *, removals: bool) -> Iterator[TypeConflict]: ...
    def iter_asked(self) -> Iterator[Listed]: ...
    def take_told(self, told: list[ToldDigest]) -> None: ...
    def count(self) -> Counts: ...
    def iter_wanted(self) -> Iterator[Listed]: ...


class Receipts(Protocol):
    """The notes of files that have arrived. A thread of its own uses it."""

    def settle(self, arrived: Sequence[Arrived]) -> None: ...


class Keeper:
    """Collects what arrives and keeps it batch by batch, one in the making while the next comes in.

    A batch is kept when it is large or old enough, at `finish`, and before an error of the far end, or
    what puts the work off, goes on. What keeping raises comes out of the next call. Leaving the context waits for the batch under way.
    """

    def __init__(
        self, store: BlobStore, receipts: Receipts, progress: Progress, *, attempt: str
    ) -> None:
        self._store = store
        self._receipts = receipts
        self._progress = progress
        self._attempt = attempt
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="keeper")
        self._keeping: Future[None] | None = None
        self._clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)

    def add(self, arrived: Arrived, received: Received) -> None:
        self._arrived.append(arrived)
        self._received.append(received)
        self._bytes += received.size_bytes
        self._bytes_in_memory += len(received.content)
        if (
            len(self._arrived) >= COMMIT_FILES
            or self._bytes >= COMMIT_BYTES
            or self._bytes_in_memory >= COMMIT_BYTES_IN_MEMORY
            or time.monotonic() - self._began_at >= COMMIT_INTERVAL_S
        ):
            self._hand_over()

    def finish(self) -> None:
        """Finishes: on return everything added is durable and has a receipt."""
        self._hand_over()
        self._wait()

    def finishing_on_error(self, fetched: Iterator[Fetched]) -> Iterator[Fetched]:
        """What came before a far end failed, or the work was put off, is kept: the next attempt gets further."""
        try:
            yield from fetched
        except (TransportError, *PUT_OFF):
            self.finish()
            raise

    def _hand_over(self) -> None:
        self._wait()
        self._keeping = self._pool.submit(self._keep, self._arrived, self._received)
        self._clear()

    def _wait(self) -> None:
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.result()

    def _keep(self, arrived: list[Arrived], received: list[Received]) -> None:
        """Bytes first, receipts last: a receipt never names what is not on disk."""
        self._store.commit(self._attempt, received, moved=self._progress.moved)
        self._receipts.settle(arrived)
        self._progress.kept(len(arrived))

    def _clear(self) -> None:
        self._arrived: list[Arrived] = []
        self._received: list[Received] = []
        self._bytes = self._bytes_in_memory = 0
        self._began_at = time.monotonic()


def get_receipt(fetched: Fetched) -> Received:
    if not isinstance(fetched.receipt, Received):
        raise TypeError("a transport answered for a file without its receipt")
    return fetched.receipt
