"""Fetches many files over one FTP client, counting every byte against what was listed.

Each file is fetched, then described once more, so that a change shows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace

from farends.contract import Fetched, Receiver, RemoteEntry, Sink
from farends.errors import (
    AuthRefused,
    ConnectionLost,
    PermissionRefused,
    Throttled,
    TlsRefused,
    TransportError,
    Truncated,
    UnsafeName,
    Unstable,
    Vanished,
)
from farends.ftp.client import FtpClient
from farends.ftp.command import Root, line
from farends.ftp.describe import Described, ask_description
from farends.ftp.download import Download, Inbox
from farends.ftp.proof import PrefixProof
from farends.ftp.reply import Reply, is_ambiguous, make_refusal
from farends.ftp.rest import RestTrial
from farends.ftp.rows import Kind
from farends.ftp.session import Session

TRIES_MAX = 3
DRAIN_BYTES_MAX = 1024 * 1024  # more unwanted bytes than this cost more than a new session
_OF_THE_HOST = (Throttled, AuthRefused, TlsRefused)


class FtpFetch:
    """One call of `fetch`. Iterate it once."""

    def __init__(
        self, client: FtpClient, root: Root, entries: Iterable[RemoteEntry], sink: Sink
    ) -> None:
        self.client = client
        self.sink = sink
        self.inbox: Inbox = deque()
        self.done: deque[Fetched] = deque()
        self.active: set[FileTaker] = set()
        self.waiting: deque[FileTaker] = deque()  # for a session
        self._root = root
        self._entries = iter(entries)
        self._exhausted = False

    def __iter__(self) -> Iterator[Fetched]:
        try:
            while True:
                self._start_files()
                while self.done:
                    yield self.done.popleft()
                if self.active or self.waiting:
                    self.client.pump()
                    while self.inbox:
                        self.inbox.popleft()()
                elif self._exhausted:
                    return
        finally:
            self._abandon()

    def _start_files(self) -> None:
        while self.waiting or self._take_entry():
            session = self.client.take(self)
            if session is None:
                return
            taker = self.waiting.popleft()
            self.active.add(taker)
            taker.start(session)

    def _take_entry(self) -> bool:
        while not self._exhausted:
            entry = next(self._entries, None)
            if entry is None:
                self._exhausted = True
                return False
            path = self._root.at(entry.path)
            try:
                line(b"RETR", path)
            except UnsafeName as exc:
                self.done.append(Fetched(entry, error=exc))
            else:
                self.waiting.append(FileTaker(self, entry, path))
                return True
        return False

    def _abandon(self) -> None:
        with ExitStack() as receivers:  # every one, even where one of them raises
            for taker in (*self.active, *self.waiting):
                taker.drop_session()
                if taker.receiver is not None:
                    receivers.callback(taker.receiver.abandon)
        self.inbox.clear()


class FileTaker:
    """Takes the download's events, then the description's. A description that a session's end took
    away is asked for again on another."""

    def __init__(self, fetch: FtpFetch, entry: RemoteEntry, path: bytes) -> None:
        self._fetch = fetch
        self._entry = entry
        self._path = path
        self._session: Session | None = None
        self._download: Download | None = None
        self._fetched = False  # what is still wanted is the description
        self._failure: TransportError | None = None
        self._ambiguous = False
        self._unproved = False
        self._told_bytes: int | None = (
            None  # by the transfer itself, where the listing tells no size
        )
        self._prefix_tried = False
        self._count = self._offset = 0
        self._tries = 0
        self.receiver: Receiver | None = None

    def start(self, session: Session) -> None:
        self._tries += 1
        if self._fetched:
            self._describe(session)
            return
        self._session = session
        client, inbox = self._fetch.client, self._fetch.inbox
        offset, size = self._resume(), self._entry.size_bytes
        if offset and size is not None and client.features.rest_honoured is None:
            RestTrial(client, session, self._path, size, self, inbox)
            return
        if offset and not self._prefix_tried:
            PrefixProof(client, session, self._path, self._receiver(), self, inbox)
            return
        self._prefix_tried = False  # of this try; the next one asks again
        self._count = self._offset = offset
        self._download = client.download(session, b"RETR", self._path, self, inbox, offset=offset)

    def _resume(self) -> int:
        """The byte to go on from."""
        receiver, size = self._receiver(), self._entry.size_bytes
        offset = receiver.offset
        features = self._fetch.client.features
        unfit = size is None or offset >= size or features.rest_honoured is False
        unfit = (
            unfit or not features.prefix_digests
        )  # nothing could prove which file the bytes belong to
        if offset and unfit:
            receiver.rewind()
            return 0
        return offset

    def prefix_tried(self) -> None:
        self._prefix_tried = True
        self._start_again()

    def rest_tried(self) -> None:
        self._start_again()

    def _start_again(self) -> None:
        session, self._session = self._session, None
        if session is None or session.over:
            self._wait()
        else:
            self.start(session)

    def drop_session(self) -> None:
        if self._session is not None:
            self._fetch.client.drop(self._session)
            self._session = None

    def on_data(self, data: bytes) -> None:
        if self._offset and self._download is not None and self._download.rest_refused:
            self._receiver().rewind()  # it starts over: nothing may be put together
            self._count = self._offset = 0
        self._count += len(data)
        listed = self._entry.size_bytes
        if self._failure is None and listed is not None and self._count > listed:
            self._failure = Unstable(f"the file holds more than the {listed} bytes listed")
        if self._failure is None:
            try:
                self._receiver().write(data)
            except TransportError as exc:  # against this file; anything else stops the fetch
                self._failure = exc
        if self._failure is not None and self._left_bytes() > DRAIN_BYTES_MAX:
            self.drop_session()
            self._ask_again()

    def on_end(self, reply: Reply, *, ragged: bool) -> None:
        listed = self._entry.size_bytes
        if self._failure is None and listed is not None and self._count != listed:
            self._failure = Truncated(f"the file ended at byte {self._count} of {listed}")
        if listed is None and not self._offset and self._download is not None:
            self._told_bytes = self._download.told_bytes
        if self._failure is None and self._count < (self._told_bytes or 0):
            self._failure = Truncated(f"the file ended at byte {self._count} of {self._told_bytes}")
        if self._failure is None and listed is None and ragged:
            self._failure = Truncated("the file's end was cut off under TLS")
        self._describe_and_release()

    def on_refused(self, reply: Reply) -> None:
        error = make_refusal(reply, "fetching the file")
        if isinstance(error, _OF_THE_HOST):
            raise error
        self._failure, self._ambiguous = error, is_ambiguous(reply)
        self._describe_and_release()

    def on_error(self, error: TransportError) -> None:
        if isinstance(error, _OF_THE_HOST):
            raise error
        session, self._session = self._session, None
        if session is not None and not session.over:
            self._fetch.client.release(session, well=False)
        unheard = isinstance(error, ConnectionLost) and self._count == self._offset
        if unheard and self._tries < TRIES_MAX:
            self._wait()
            return
        self._end(error)

    def _receiver(self) -> Receiver:
        if self.receiver is None:
            self.receiver = self._fetch.sink.receive(self._entry)
        return self.receiver

    def _left_bytes(self) -> int:
        """How much is still to come, as far as is known: what is past the listing has no end."""
        listed = self._entry.size_bytes
        if listed is None:
            return DRAIN_BYTES_MAX + 1
        return max(listed - self._count, self._count - listed)

    def _describe_and_release(self) -> None:
        """The question leaves in one write with the next file's commands."""
        session, self._session = self._session, None
        if session is not None:
            self._describe(session)

    def _describe(self, session: Session) -> None:
        self._fetched = True
        inbox = self._fetch.inbox
        ask_description(
            self._fetch.client,
            session,
            self._path,
            lambda described: inbox.append(lambda: self._described(described)),
        )
        self._fetch.client.release(session)

    def _ask_again(self) -> None:
        self._fetched = True
        self._tries = 0
        self._wait()

    def _wait(self) -> None:
        self._fetch.active.discard(self)
        self._fetch.waiting.append(self)

    def _described(self, described: Described) -> None:
        if described.lost is not None:
            if isinstance(described.lost, _OF_THE_HOST):
                raise described.lost
            if self._tries < TRIES_MAX:
                self._wait()
            else:
                self._end(described.lost)
            return
        if described.again and self._tries < TRIES_MAX:
            self._wait()
            return
        observed = self._observed(described)
        told = (self._entry.size_bytes, described.size_bytes, self._told_bytes)
        self._unproved = told == (None, None, None)
        if self._failure is not None:
            self._end(self._explained(self._failure, described), observed)
        elif described.kind not in (None, Kind.FILE):
            self._end(Vanished("it is no regular file any more"), observed)
        elif described.refused is not None and not described.known:
            gone = isinstance(described.refused, Vanished) and not described.ambiguous
            self._end(Vanished(str(described.refused))) if gone else self._finish(observed)
        else:
            self._finish(observed)

    def _explained(self, error: TransportError, described: Described) -> TransportError:
        """A bare 550 means gone, unless the host still describes the file."""
        if not self._ambiguous or not described.known:
            return error
        if described.kind not in (None, Kind.FILE):
            return Vanished("it is no regular file any more")
        return PermissionRefused(str(error))

    def _observed(self, described: Described) -> RemoteEntry | None:
        if not described.known:
            return None
        modified_ns = described.modified_ns
        if modified_ns is None and self._fetch.client.features.times_listed:
            modified_ns = self._entry.modified_ns  # nobody tells the time but the listing
        seen = replace(self._entry, etag=None, modified_ns=modified_ns)
        size = described.size_bytes
        return replace(seen, size_bytes=self._count if size is None else size)

    def _finish(self, observed: RemoteEntry | None) -> None:
        try:
            receipt = self._receiver().finish()
        except TransportError as exc:
            self._end(exc, observed)
            return
        self._fetch.active.discard(self)
        self._fetch.done.append(Fetched(self._entry, receipt, observed, unproved=self._unproved))

    def _end(self, error: TransportError, observed: RemoteEntry | None = None) -> None:
        self._fetch.active.discard(self)
        if self.receiver is not None:
            self.receiver.abandon()
        self._fetch.done.append(Fetched(self._entry, observed=observed, error=error))
