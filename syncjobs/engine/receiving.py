"""The sink that a transport writes into: partial files of the store, counted, capped, stoppable."""

from __future__ import annotations

from collections.abc import Callable

from connectors.contract import RemoteEntry
from connectors.errors import TooLarge, Unstable
from datasets.blobs import BlobStore, BlobWriter, Received
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
    ) -> None:
        self._writer = writer
        self._listed_bytes = entry.size_bytes
        self._limit_bytes = limit_bytes
        self._progress = progress
        self._check = check

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
        self._writer.abandon()


class StoreSink:
    """Opens a partial file for each entry, named by the attempt."""

    def __init__(
        self,
        store: BlobStore,
        attempt: str,
        *,
        limit_bytes: int | None,
        progress: Progress,
        check: Callable[[], None],
    ) -> None:
        self._store = store
        self._attempt = attempt
        self._limit_bytes = limit_bytes
        self._progress = progress
        self._check = check

    def receive(self, entry: RemoteEntry) -> StoreReceiver:
        self._check()
        writer = self._store.create(self._attempt)
        return StoreReceiver(writer, entry, self._limit_bytes, self._progress, self._check)
