"""The sink that a transport writes into: partial files of the store, counted, capped, stoppable."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from farends.contract import RemoteEntry
from farends.errors import TooLarge, Unstable
from store.blobs import BlobStore
from store.partials import UNKNOWN, WORTH_KEEPING_BYTES, BlobWriter, Received
from syncjobs.core.comparing import FarClock, is_settled
from syncjobs.engine.progress import Progress


class StoreReceiver:
    """Takes one file. More bytes than listed, or than the job allows, end it."""

    def __init__(
        self,
        writer: BlobWriter,
        entry: RemoteEntry,
        limit_bytes: int | None,
        progress: Progress,
        check: Callable[[], None],
        *,
        resumable: bool,
    ) -> None:
        self._writer = writer
        self._began_at_bytes = writer.size_bytes
        self._resumable = resumable
        self._listed_bytes = entry.size_bytes
        self._limit_bytes = limit_bytes
        self._progress = progress
        self._check = check
        if self._began_at_bytes:
            progress.counted(self._began_at_bytes)

    @property
    def offset(self) -> int:
        """Bytes that an earlier attempt left: the transport proves them and goes on, or rewinds."""
        return self._writer.size_bytes

    def prefix_sha256(self) -> bytes:
        return self._writer.sha256

    def rewind(self) -> None:
        self._progress.counted(-self._writer.size_bytes)
        self._writer.rewind()

    def write(self, data: bytes | memoryview) -> None:
        self._check()
        size = self._writer.size_bytes + len(data)
        if self._limit_bytes is not None and size > self._limit_bytes:
            raise TooLarge(f"more than the {self._limit_bytes} bytes that the job allows")
        if self._listed_bytes is not None and size > self._listed_bytes:
            raise Unstable(f"more than the {self._listed_bytes} bytes that were listed")
        self._writer.write(data)
        self._progress.received(len(data))

    def finish(self) -> Received:
        return self._writer.finish()

    def abandon(self) -> None:
        """The bytes so far stay for the next attempt where a fingerprint tells whose they may be."""
        gained = self._writer.size_bytes - self._began_at_bytes
        if self._resumable and gained > 0 and self._writer.size_bytes >= WORTH_KEEPING_BYTES:
            self._progress.left(gained)
        self._progress.counted(
            -self._writer.size_bytes
        )  # whoever takes up the file counts them again
        self._writer.leave()


class StoreSink:
    """Opens a partial file for each entry, named by the attempt and, where it may be resumed, by
    file and fingerprint."""

    def __init__(
        self,
        store: BlobStore,
        *,
        attempt: str,
        source_of: Callable[[RemoteEntry], str | None],
        began: FarClock,
        precision_ns: int,
        limit_bytes: int | None,
        progress: Progress,
        check: Callable[[], None],
    ) -> None:
        self._store = store
        self._attempt = attempt
        self._source_of = source_of
        self._began = began
        self._precision_ns = precision_ns
        self._limit_bytes = limit_bytes
        self._progress = progress
        self._check = check

    def receive(self, entry: RemoteEntry) -> StoreReceiver:
        self._check()
        key = self._identify(entry)
        writer = self._store.create(self._attempt, key)
        if entry.size_bytes is not None and writer.size_bytes > entry.size_bytes:
            writer.rewind()
        return StoreReceiver(
            writer,
            entry,
            self._limit_bytes,
            self._progress,
            self._check,
            resumable=key != UNKNOWN,
        )

    def _identify(self, entry: RemoteEntry) -> str:
        """A key for a large file whose fingerprint had settled before the attempt began: only then is it
        worth it to keep bytes under it. Which content they are of, the transport proves."""
        if entry.size_bytes is None or entry.size_bytes < WORTH_KEEPING_BYTES:
            return UNKNOWN
        source = self._source_of(entry)
        if source is None:  # nothing that metadata tell is to be trusted, or nothing can be proved
            return UNKNOWN
        settled = is_settled(entry.modified_ns, self._began, self._precision_ns)
        if entry.etag is None and not settled:
            return UNKNOWN
        told = (source, entry.path, entry.size_bytes, entry.modified_ns, entry.etag)
        return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest()[:32]
