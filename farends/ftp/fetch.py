"""Fetches many files over one FTP client, counting every byte against what was listed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from farends.contract import Fetched, RemoteEntry, Sink
from farends.errors import UnsafeName
from farends.ftp.client import FtpClient
from farends.ftp.command import Root, line
from farends.ftp.download import Inbox
from farends.ftp.file import FileTaker


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
