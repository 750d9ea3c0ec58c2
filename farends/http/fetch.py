"""Fetches many files over one HTTP client, counting every byte against what was declared."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from farends.contract import Fetched, RemoteEntry, Sink
from farends.errors import (
    ProtocolViolation,
    Throttled,
    TransportError,
    Truncated,
    Unstable,
    Vanished,
)
from farends.http.client import HttpClient
from farends.http.entries import describe_entry, whole_size
from farends.http.exchange import Exchange, Inbox
from farends.http.validators import proves_content
from farends.web.answers import check_coding, status_error
from farends.web.response import Head
from farends.web.url import Url
from farends.wire.far_text import show

FILES_MAX = 64
# A host reads a smaller file at once with its description; a larger one may change while it is sent.
LOOK_AGAIN_BYTES = 64 * 1024
_UNKNOWN_WEIGHT = 1024 * 1024
_MEDIA_TYPE_MAX = 127


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
        self.entry = entry
        self._observed: RemoteEntry | None = None
        self._landed: str | None = None
        self._content_type: str | None = None
        self.receiver = fetch.sink.receive(entry)
        self._count = self._offset = self._resume()
        weight = _UNKNOWN_WEIGHT if entry.size_bytes is None else entry.size_bytes - self._offset
        fields = {}
        if self._offset:
            fields["Range"] = f"bytes={self._offset}-"
            fields["If-Range"] = entry.etag or ""
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
        """The byte to go on from: only an ETag that changes with the content lets the host prove, by
        If-Range, that what is here belongs to it."""
        offset, size = self.receiver.offset, self.entry.size_bytes
        if offset and (size is None or offset >= size or not proves_content(self.entry)):
            self.receiver.rewind()
            return 0
        return offset

    def on_head(self, head: Head) -> None:
        self._fetch.client.note_host(head)
        url = self.exchange.latest.url
        self._landed = None if url is self.exchange.url else url.shown
        self._content_type = _media_type(head)
        try:
            self._judge(head)
        except Throttled:
            raise
        except TransportError as exc:
            self.on_error(exc)

    def on_data(self, data: memoryview) -> None:
        self._count += len(data)
        listed = self.entry.size_bytes
        if listed is not None and self._count > listed:
            self.on_error(Unstable(f"the file holds more than the {listed} bytes listed"))
        else:
            try:
                self.receiver.write(data)
            except TransportError as exc:  # against this file; anything else stops the fetch
                self.on_error(exc)

    def on_end(self) -> None:
        listed = self.entry.size_bytes
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
            if self._count > LOOK_AGAIN_BYTES:
                self.exchange = _Look(self._fetch, self, receipt, observed).exchange
            else:
                self.end(receipt, observed)

    def end(
        self,
        receipt: object | None,
        observed: RemoteEntry | None,
        error: TransportError | None = None,
    ) -> None:
        self._fetch.active.discard(self)
        landed, content_type = self._landed, self._content_type
        fetched = Fetched(self.entry, receipt, observed, error, landed, content_type)
        self._fetch.done.append(fetched)

    def on_error(self, error: TransportError) -> None:
        self.exchange.cancel()
        self.end(None, self._observed, error)
        self.receiver.abandon()

    def _judge(self, head: Head) -> None:
        partial = head.status == 206 and self._offset > 0
        if head.status == 416 and self._offset:
            raise Unstable("the file is shorter than the part of it that is here already")
        if head.status != 200 and not partial:
            raise status_error(head, "fetching the file")
        check_coding(head)
        listed = self.entry.size_bytes
        if not head.framed and listed is None:
            raise ProtocolViolation("the host tells neither the file's length nor its end")
        if partial:
            if head.fields.get("etag", self.entry.etag) != self.entry.etag:  # it ignores If-Range
                self.receiver.rewind()
                raise Unstable("the part that the host sent belongs to another file")
            size: int | None = whole_size(head, self._offset)
            self._fetch.client.note_ranges(work=True)
        else:
            size = head.length
            if self._offset:  # the host sends the whole file: nothing may be put together
                if head.fields.get("etag") == self.entry.etag:  # else it is another file now
                    self._fetch.client.note_ranges(work=False)
                self.receiver.rewind()
                self._count = self._offset = 0
        self._observed = describe_entry(self.entry.path, head, size)
        if listed is not None and size is not None and size != listed:
            raise Unstable(f"{listed} bytes were listed, {size} are offered")


class _Look:
    """What the host says of a file after its last byte came."""

    def __init__(
        self, fetch: HttpFetch, file: _FileTaker, receipt: object, observed: RemoteEntry
    ) -> None:
        self._fetch = fetch
        self._file = file
        self._receipt = receipt
        self._observed = observed
        url = fetch.url_of(observed.path)
        self.exchange = Exchange(fetch.client, fetch.inbox, self, "HEAD", url)
        fetch.client.submit_next(self.exchange)  # else no file ends before the last one has come

    def on_head(self, head: Head) -> None:
        error = None if head.status == 200 else status_error(head, "looking at the file once more")
        if isinstance(error, Throttled):
            raise error
        if isinstance(error, Vanished):
            self._end(error)
        elif error is not None:  # a host that describes no files; what came along with it counts
            self._end(None)
        else:
            coded = head.fields.get("content-encoding", "identity").lower() != "identity"
            # Some hosts put 0 where no body follows.
            size = None if coded or not head.length else head.length
            seen = describe_entry(self._observed.path, head, size)
            changed = not _agree(self._observed, seen)
            self._observed = _filled(seen, self._observed)
            self._end(Unstable("the file changed while it was sent") if changed else None)

    def on_data(self, data: memoryview) -> None:
        return None

    def on_end(self) -> None:
        return None

    def on_error(self, error: TransportError) -> None:
        self._end(error)

    def _end(self, error: TransportError | None) -> None:
        self._file.end(self._receipt, self._observed, error)


def _media_type(head: Head) -> str | None:
    """Returns the media type in lower case and without parameters, as guards compare it."""
    said = head.fields.get("content-type", "").partition(";")[0].strip().lower()
    return show(said, _MEDIA_TYPE_MAX) if said else None


def _agree(one: RemoteEntry, other: RemoteEntry) -> bool:
    """Unknown fields do not contradict."""
    pairs = (
        (one.size_bytes, other.size_bytes),
        (one.modified_ns, other.modified_ns),
        (one.etag, other.etag),
    )
    return all(a is None or b is None or a == b for a, b in pairs)


def _filled(seen: RemoteEntry, before: RemoteEntry) -> RemoteEntry:
    return RemoteEntry(
        seen.path,
        before.size_bytes if seen.size_bytes is None else seen.size_bytes,
        before.modified_ns if seen.modified_ns is None else seen.modified_ns,
        seen.etag or before.etag,
    )
