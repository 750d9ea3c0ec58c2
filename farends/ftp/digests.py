"""Asks a host for the SHA-256 of files: HASH (draft-bryan-ftpext-hash) or XSHA256, no data connection."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator

from farends.contract import Digested, RemoteEntry
from farends.errors import Throttled, TransportError, UnsafeName
from farends.ftp.client import FtpClient
from farends.ftp.command import Root
from farends.ftp.download import Inbox
from farends.ftp.login import HASH, XSHA256
from farends.ftp.reply import Reply
from farends.ftp.session import Answer, Session

ASKED_AT_ONCE = 32
BYTES_AT_ONCE = 1 << 30
SLOWEST_BYTES_S = 4 << 20  # a host that reads slower than this counts as silent
TRIES_MAX = 3
_HASHED = re.compile(r"SHA-256 0-(\d{1,20}) ([0-9a-fA-F]{64}) ")
_XHASHED = re.compile(r"(?:^|\s)([0-9a-fA-F]{64})(?:\s|$)")


class FtpDigests:
    """One call of `digests`. Iterate it once."""

    def __init__(self, client: FtpClient, root: Root, entries: Iterable[RemoteEntry]) -> None:
        self._client = client
        self._root = root
        self._entries = iter(entries)
        self._inbox: Inbox = deque()
        self._again: deque[tuple[RemoteEntry, int]] = deque()  # with the tries so far
        self._done: deque[Digested] = deque()
        self._batches: dict[Session, int] = {}
        self._exhausted = False

    def __iter__(self) -> Iterator[Digested]:
        try:
            while True:
                waits = self._ask()
                while self._done:
                    yield self._done.popleft()
                if waits:
                    self._client.pump()
                    while self._inbox:
                        self._inbox.popleft()()
                elif self._exhausted and not self._again:
                    return
        finally:
            for session in self._batches:
                self._client.drop(session)
            self._inbox.clear()

    def _ask(self) -> bool:
        """Whether there is an answer or a session to wait for."""
        while self._again or not self._exhausted:
            if not self._client.features.digests:
                self._give_up()
                break
            session = self._client.take(self)
            if session is None:
                return True
            batch = self._next_batch()
            if batch:
                self._send(session, batch)
            else:
                self._client.release(session)
        return bool(self._batches)

    def _give_up(self) -> None:
        """Found wanting: whatever is left is read in full."""
        self._done.extend(Digested(entry, None) for entry, _ in self._again)
        self._again.clear()
        for entry in self._entries:
            self._done.append(Digested(entry, None))
            if len(self._done) >= ASKED_AT_ONCE:
                return
        self._exhausted = True

    def _next_batch(self) -> list[tuple[RemoteEntry, int, bytes]]:
        batch: list[tuple[RemoteEntry, int, bytes]] = []
        batch_bytes = 0
        while len(batch) < ASKED_AT_ONCE and batch_bytes < BYTES_AT_ONCE:
            entry, tries = self._again.popleft() if self._again else (self._next_entry(), 0)
            if entry is None:
                break
            command = self._command(entry)
            if command is None:
                self._done.append(Digested(entry, None))
            else:
                batch.append((entry, tries + 1, command))
                batch_bytes += entry.size_bytes or 0
        return batch

    def _next_entry(self) -> RemoteEntry | None:
        entry = next(self._entries, None)
        self._exhausted = entry is None
        return entry

    def _command(self, entry: RemoteEntry) -> bytes | None:
        """Returns None for a name that the host could take for another's: XSHA256 has more arguments."""
        path = self._root.at(entry.path)
        verb = self._client.features.digests
        if verb == XSHA256 and any(sign in path for sign in b' "'):
            return None
        try:
            return self._client.line(verb, path)
        except UnsafeName:
            return None

    def _send(self, session: Session, batch: list[tuple[RemoteEntry, int, bytes]]) -> None:
        """Many questions in one write; the session comes free with the last answer."""
        self._batches[session] = len(batch)
        session.grace_s = sum(entry.size_bytes or 0 for entry, _, _ in batch) / SLOWEST_BYTES_S
        if self._client.features.digests == HASH and not session.hashes_chosen:
            session.hashes_chosen = True
            session.send(b"OPTS HASH SHA-256", self._chosen)
        for entry, tries, command in batch:
            session.send(command, self._taker(session, entry, tries))

    def _chosen(self, outcome: Reply | TransportError) -> None:
        if isinstance(outcome, Reply) and not outcome.completed:
            self._client.features.digests = b""

    def _taker(self, session: Session, entry: RemoteEntry, tries: int) -> Answer:
        def take(outcome: Reply | TransportError) -> None:
            self._inbox.append(lambda: self._answered(session, entry, tries, outcome))

        return take

    def _answered(
        self, session: Session, entry: RemoteEntry, tries: int, outcome: Reply | TransportError
    ) -> None:
        self._batches[session] -= 1
        if not self._batches[session]:
            del self._batches[session]
            session.grace_s = 0.0
            self._client.release(session)
        if isinstance(outcome, TransportError):
            if tries >= TRIES_MAX or isinstance(outcome, Throttled):
                raise outcome
            self._again.append((entry, tries))
            return
        if outcome.not_implemented:
            self._client.features.digests = b""
        self._done.append(Digested(entry, self._read(entry, outcome)))

    def _read(self, entry: RemoteEntry, reply: Reply) -> bytes | None:
        """Returns None also for the digest of a part of the file."""
        if not reply.completed:
            return None
        if self._client.features.digests == XSHA256:
            told = _XHASHED.search(reply.text)
            return bytes.fromhex(told[1]) if told else None
        hashed = _HASHED.match(reply.text)
        if hashed is None or entry.size_bytes not in (None, int(hashed[1])):
            return None
        return bytes.fromhex(hashed[2])
