"""A connector's bandwidth limit: bytes are taken in at no more than its rate, so that the far end slows
down by itself. What waits looks up often, so that a cancelled sync does not wait too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from farends.contract import (
    Capabilities,
    Digested,
    Fetched,
    Receiver,
    RemoteEntry,
    Seen,
    Sink,
    Transport,
)

BURST_S = 0.25  # what an idle line has saved up at most
_SLICE_S = 0.25


class Pace:
    """A token bucket, of bytes or of requests. Used by several threads, it gives them the rate together."""

    def __init__(
        self,
        bytes_per_s: float,
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._paid_until = clock()

    def take(self, count: int) -> None:
        """Returns once so many bytes fit the rate. Raises what `check` raises."""
        with self._lock:
            earliest = self._clock() - BURST_S
            self._paid_until = max(self._paid_until, earliest) + count / self._bytes_per_s
            until = self._paid_until
        while (left_s := until - self._clock()) > 0:
            self._check()
            self._sleep(min(left_s, _SLICE_S))


class PacedTransport:
    """Another transport whose files' bytes are paced; `precision_ns` is what it says of its times."""

    def __init__(self, inner: Transport, pace: Pace | None, precision_ns: int) -> None:
        self._inner = inner
        self._pace = pace
        self._precision_ns = precision_ns

    @property
    def capabilities(self) -> Capabilities:
        told = self._inner.capabilities
        return replace(told, modified_precision_ns=self._precision_ns or told.modified_precision_ns)

    def walk(self) -> Iterator[Seen]:
        return self._inner.walk()

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return self._inner.walk_again(folder)

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return self._inner.fetch(entries, _PacedSink(sink, self._pace) if self._pace else sink)

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return self._inner.digests(entries)

    def close(self) -> None:
        self._inner.close()


class _PacedSink:
    def __init__(self, sink: Sink, pace: Pace) -> None:
        self._sink = sink
        self._pace = pace

    def receive(self, entry: RemoteEntry) -> Receiver:
        return _PacedReceiver(self._sink.receive(entry), self._pace)


class _PacedReceiver:
    def __init__(self, receiver: Receiver, pace: Pace) -> None:
        self._receiver = receiver
        self._pace = pace
        self.rewind = receiver.rewind
        self.prefix_sha256 = receiver.prefix_sha256
        self.finish = receiver.finish
        self.abandon = receiver.abandon

    @property
    def offset(self) -> int:
        return self._receiver.offset

    def write(self, data: bytes | memoryview) -> None:
        self._pace.take(len(data))
        self._receiver.write(data)
