"""Fetches many files over one HTTP client, counting every byte against what was declared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from connectors.contract import Fetched, RemoteEntry, Sink
from connectors.errors import (
    ProtocolViolation,
    Throttled,
    TransportError,
    Truncated,
    Unstable,
)
from connectors.wire.http_client import HttpClient
from connectors.wire.http_entries import check_coding, described, whole_size
from connectors.wire.http_exchange import Exchange, Inbox, status_error
from connectors.wire.http_response import Head
from connectors.wire.http_url import Url

FILES_MAX = 64
_UNKNOWN_WEIGHT = 1024 * 1024


class HttpFetch:
    """One call of `fetch`. Iterate it once."""

    def __init__(
        self,
        client: HttpClient,
        url_of: Callable[[str], Url],
        entries: Iterable[RemoteEntry],
        sink: Sink,
    ) -> None:
        self.client = client
        self.url_of = url_of
        self.sink = sink
        self.inbox = Inbox()
        self.done: deque[Fetched] = deque()
        self.active: set[_FileTaker] = set()
        self._entries = iter(entries)
        self._exhausted = False

    def __iter__(self) -> Iterator[Fetched]:
        try:
            while True:
                self._start_files()
                while self.done:
                    yield self.done.popleft()
                if self.active:
                    self.client.pump()
                    self.inbox.run()
                elif self._exhausted:
                    return
        finally:
            self._abandon()

    def _start_files(self) -> None:
        while not self._exhausted and len(self.active) < FILES_MAX:
            entry = next(self._entries, None)
            if entry is None:
                self._exhausted = True
            else:
                self.active.add(_FileTaker(self, entry))

    def _abandon(self) -> None:
        with ExitStack() as receivers:  # every one, even where one of them raises
            for taker in self.active:
                taker.exchange.cancel()
                receivers.callback(taker.receiver.abandon)


class _FileTaker:
    """One file on its way; goes on after the bytes that its receiver has already, if the host will."""

    def __init__(self, fetch: HttpFetch, entry: RemoteEntry) -> None:
        self._fetch = fetch
        self._entry = entry
        self._observed: RemoteEntry | None = None
        self.receiver = fetch.sink.receive(entry)
        self._count = self._offset = self._resume()
        weight = _UNKNOWN_WEIGHT if entry.size_bytes is None else entry.size_bytes - self._offset
        fields = {}
        if self._offset:
            fields["Range"] = f"bytes={self._offset}-"
            if entry.etag is not None:
                fields["If-Range"] = entry.etag
        self.exchange = Exchange(
            fetch.client,
            fetch.inbox,
            self,
            "GET",
            fetch.url_of(entry.path),
            fields=fields,
            weight_bytes=weight,
        )
        fetch.client.submit(self.exchange)

    def _resume(self) -> int:
        """The byte to go on from."""
        offset = self.receiver.offset
        if offset and (self._entry.size_bytes is None or offset >= self._entry.size_bytes):
            self.receiver.rewind()
            return 0
        return offset

    def on_head(self, head: Head) -> None:
        self._fetch.client.note_host(head)
        try:
            self._judge(head)
        except Throttled:
            raise
        except TransportError as exc:
            self.on_error(exc)

    def on_data(self, data: memoryview) -> None:
        self._count += len(data)
        listed = self._entry.size_bytes
        if listed is not None and self._count > listed:
            self.on_error(Unstable(f"the file holds more than the {listed} bytes listed"))
        else:
            try:
                self.receiver.write(data)
            except TransportError as exc:  # against this file; anything else stops the fetch
                self.on_error(exc)

    def on_end(self) -> None:
        listed = self._entry.size_bytes
        if listed is not None and self._count != listed:
            self.on_error(Truncated(f"the file ended at byte {self._count} of {listed}"))
        elif self._observed is not None:
            observed = self._observed
            if observed.size_bytes is None:
                observed = RemoteEntry(
                    observed.path, self._count, observed.modified_ns, observed.etag
                )
            try:
                receipt = self.receiver.finish()
            except TransportError as exc:
                self.on_error(exc)
                return
            self._fetch.active.discard(self)
            self._fetch.done.append(Fetched(self._entry, receipt, observed))

    def on_error(self, error: TransportError) -> None:
        self.exchange.cancel()
        self._fetch.active.discard(self)
        self._fetch.done.append(Fetched(self._entry, observed=self._observed, error=error))
        self.receiver.abandon()

    def _judge(self, head: Head) -> None:
        partial = head.status == 206 and self._offset > 0
        if head.status == 416 and self._offset:
            raise Unstable("the file is shorter than the part of it that is here already")
        if head.status != 200 and not partial:
            raise status_error(head, "fetching the file")
        check_coding(head)
        listed = self._entry.size_bytes
        if not head.framed and listed is None:
            raise ProtocolViolation("the host tells neither the file's length nor its end")
        if partial:
            size: int | None = whole_size(head, self._offset)
            self._fetch.client.note_ranges(work=True)
        else:
            size = head.length
            if self._offset:  # the host sends the whole file: nothing may be put together
                if self._entry.etag is None:  # else the file may be another one now
                    self._fetch.client.note_ranges(work=False)
                self.receiver.rewind()
                self._count = self._offset = 0
        self._observed = described(self._entry.path, head, size)
        if listed is not None and size is not None and size != listed:
            raise Unstable(f"{listed} bytes were listed, {size} are offered")
