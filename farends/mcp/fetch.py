"""Reads several resources at once, each on a thread and a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from farends.contract import Fetched, Receiver, RemoteEntry, Sink
from farends.errors import AuthRefused, ConnectionStage, Throttled, TransportError, Vanished
from farends.mcp.client import McpClient
from farends.mcp.line import McpLine

READS_AT_ONCE = 4
_SLICE_S = 0.25
_WAY = (ConnectionStage.RESOLVE, ConnectionStage.CONNECT, ConnectionStage.IDENTITY)


class _Over(Exception):
    """Nobody wants the answer any more."""


@dataclass(frozen=True, slots=True)
class _Reading:
    entry: RemoteEntry
    uri: str
    receiver: Receiver


class ResourceFetch:
    """One call of `fetch`. Iterate it once."""

    def __init__(
        self,
        client: McpClient,
        uris: Mapping[str, str],
        check: Callable[[], None],
        reading_s: float,
        entries: Iterable[RemoteEntry],
        sink: Sink,
    ) -> None:
        """`uris` by path."""
        self._client = client
        self._uris = uris
        self._check = check
        self._reading_s = reading_s
        self._entries = iter(entries)
        self._sink = sink
        self._over = threading.Event()
        self._lines: list[McpLine] = []
        self._idle: list[McpLine] = []
        self._under_way: dict[Future[Fetched], _Reading] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __iter__(self) -> Iterator[Fetched]:
        try:
            exhausted = False
            while not exhausted or self._under_way:
                while not exhausted and len(self._under_way) < READS_AT_ONCE:
                    entry = next(self._entries, None)
                    exhausted = entry is None
                    if entry is not None and (absent := self._start(entry)) is not None:
                        yield absent
                yield from self._take_finished()
        finally:
            self._end()

    def _start(self, entry: RemoteEntry) -> Fetched | None:
        """Begins to read; the answer where there is nothing to read."""
        uri = self._uris.get(entry.path)
        if uri is None:
            return Fetched(entry, error=Vanished("the server lists no such resource"))
        receiver = self._sink.receive(entry)
        reading = _Reading(entry, uri, receiver)
        try:
            if receiver.offset:  # nothing proves what an earlier try has left
                receiver.rewind()
            if self._pool is None:
                self._pool = ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="mcp")
            self._under_way[self._pool.submit(self._read, reading, self._borrow())] = reading
        except BaseException:
            receiver.abandon()
            raise
        return None

    def _take_finished(self) -> Iterator[Fetched]:
        """Raises what a receiver or `check` raised, and what is the server's failure and not the resource's."""
        done, _ = wait(self._under_way, _SLICE_S, FIRST_COMPLETED)
        self._check()
        for finished in done:
            reading = self._under_way.pop(finished)
            try:
                yield finished.result()
            finally:
                if finished.exception() is not None:
                    reading.receiver.abandon()

    def _borrow(self) -> McpLine:
        if self._idle:
            return self._idle.pop()
        line = self._client.open_line(self._check_thread, self._reading_s)
        self._lines.append(line)
        return line

    def _check_thread(self) -> None:
        if self._over.is_set():
            raise _Over
        self._check()

    def _read(self, reading: _Reading, line: McpLine) -> Fetched:
        """Called by a thread of the pool."""
        receiver = reading.receiver
        try:
            self._client.read(line, reading.uri, receiver.write)
            receipt = receiver.finish()
        except TransportError as exc:
            if exc.stage in _WAY or isinstance(exc, Throttled):
                raise
            if isinstance(exc, AuthRefused):
                self._check_let_in(line, exc)
            receiver.abandon()
            return Fetched(reading.entry, error=exc, source=reading.uri)
        finally:
            self._idle.append(line)
        return Fetched(reading.entry, receipt, source=reading.uri)

    def _check_let_in(self, line: McpLine, refused: AuthRefused) -> None:
        """After the refusal of one read. Raises it where the server refuses the listing as well: then it is about the
        token, and not about the resource."""
        try:
            self._client.list_page(line, None)
        except AuthRefused:
            raise refused from None
        except TransportError as exc:
            if exc.stage in _WAY or isinstance(exc, Throttled):
                raise
        refused.args = (f"the server lists for this token, and refuses this resource: {refused}",)

    def _end(self) -> None:
        self._over.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for reading in self._under_way.values():
            reading.receiver.abandon()
        self._under_way.clear()
        for line in self._lines:
            line.close()
