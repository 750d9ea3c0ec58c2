"""Lists a tree over FTP: MLSD where there is MLSD, else LIST with SIZE and MDTM for each file."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator

from farends.contract import Reason, RemoteEntry, Seen, Skipped
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    NotAListing,
    ProtocolViolation,
    RootMissing,
    Throttled,
    TransportError,
    UnsafeName,
    Vanished,
)
from farends.ftp.client import FtpClient
from farends.ftp.command import Root, line
from farends.ftp.describe import Described, ask_description
from farends.ftp.download import Inbox
from farends.ftp.folder import FolderTaker, FtpFolder
from farends.ftp.rows import SECOND_NS, Kind, Row, zone_s
from farends.ftp.session import Session
from farends.names import decode, join
from farends.wire.backlog import Backlog
from farends.wire.far_text import show, skipped_name, skipped_row

WAITING_BYTES_MAX = 320 * 1024 * 1024  # of folders and rows: a process has 512 MiB
_FOLDER_BYTES, _ROW_BYTES = 160, 256  # what each costs beside its names
DESCRIBED_AT_ONCE = 32
TRIES_MAX = 3
FOLDER_TRIES_MAX = 2  # with a session each: fewer than the losses that end the whole walk


class FtpWalk:
    """One listing. Iterate it once."""

    def __init__(self, client: FtpClient, root: Root) -> None:
        self.client = client
        self.root = root
        self.inbox: Inbox = deque()
        self.found: deque[Seen] = deque()
        self.takers: set[FolderTaker] = set()
        self._to_open: list[FtpFolder] = [FtpFolder("")]
        self._backlog = Backlog()
        self._to_describe: deque[tuple[str, Row, int]] = deque()  # with the tries so far
        self._asked = 0
        self._batches: dict[Session, int] = {}
        self._waiting_bytes = 0
        self._knows_files = False  # the host has described one at least

    def __iter__(self) -> Iterator[Seen]:
        try:
            while True:
                self._ask()
                while self.found:
                    yield self.found.popleft()
                if not (self.takers or self._asked or self._to_open or self._to_describe):
                    return
                self.client.pump()
                while self.inbox:
                    self.inbox.popleft()()
                    while self.found:
                        yield self.found.popleft()
        finally:
            for taker in self.takers:
                self.client.drop(taker.session)
            for session in self._batches:
                session.owner = None
            self.inbox.clear()

    def _ask(self) -> None:
        while self._to_describe or self._to_open:
            session = self.client.take(self)
            if session is None:
                return
            if self._to_describe:
                self._describe(session)
            else:
                folder = self._to_open.pop()
                if folder.path and not folder.tries:
                    self._forget(folder)
                self.takers.add(FolderTaker(self, session, folder))

    def found_below(self, folder: FtpFolder, below: FtpFolder) -> None:
        """Raises ProtocolViolation where too many wait."""
        self._backlog.add(below.path)
        self._count_bytes(_bytes_of(below))
        folder.folders.append(below)

    def forget_below(self, folder: FtpFolder) -> None:
        for below in folder.folders:
            self._forget(below)
        folder.folders.clear()

    def _forget(self, folder: FtpFolder) -> None:
        self._backlog.remove(folder.path)
        self._count_bytes(-_bytes_of(folder))

    def _count_bytes(self, count: int) -> None:
        self._waiting_bytes += count
        if self._waiting_bytes > WAITING_BYTES_MAX:
            raise ProtocolViolation(
                f"folders and rows of {self._waiting_bytes} bytes wait: more than a listing may hold",
                stage=ConnectionStage.LIST,
            )

    def _wait_for_words(self, path: str, row: Row, tries: int) -> None:
        """What the row does not tell is asked for."""
        self._count_bytes(sys.getsizeof(path) + len(row.name) + len(row.unique) + _ROW_BYTES)
        self._to_describe.append((path, row, tries))

    def take_row(self, folder: FtpFolder, row: Row) -> None:
        """What a row says is settled, or asked for."""
        try:
            path = join(folder.path, decode(row.name))
            line(b"RETR", row.name)
        except UnsafeName as exc:
            tell = skipped_row if _may_hold_columns(row.name) else skipped_name
            self.found.append(tell(folder.path, row.name, str(exc)))
            return
        told = row.size_bytes is not None and row.modified_ns is not None
        if row.kind is Kind.FILE and told and not (row.cut or row.ask):
            self._found_file(path, row.size_bytes, row.modified_ns)
        elif row.kind in (Kind.FILE, None):
            self._wait_for_words(path, row, 0)
        elif row.kind is Kind.FOLDER:
            below = FtpFolder(path, folder, row.unique)
            if below.leads_back:
                self.found.append(
                    Skipped(path, Reason.LINK, "leads back to a folder above it, not followed")
                )
            else:
                self.found_below(folder, below)
        elif row.kind is Kind.LINK:
            self.found.append(Skipped(path, Reason.LINK, "a symbolic link, not followed"))
        else:
            self.found.append(Skipped(path, Reason.SPECIAL, "no regular file"))

    def _found_file(self, path: str, size_bytes: int | None, modified_ns: int | None) -> None:
        if modified_ns is not None and modified_ns % SECOND_NS:
            self.client.features.fractions = True
        self.found.append(RemoteEntry(path, size_bytes, modified_ns))

    def folder_done(self, taker: FolderTaker) -> None:
        self.takers.discard(taker)
        self.client.release(taker.session)
        folder = taker.folder
        if folder.folders and folder.repeats:
            message = "a folder that repeats those above it; its own folders are not followed"
            self.found.append(Skipped(folder.path, Reason.LINK, message))
            self.forget_below(folder)
            return
        self._open_below(folder)

    def _open_below(self, folder: FtpFolder) -> None:
        self._to_open.extend(folder.folders)
        folder.folders = []

    def folder_failed(
        self, taker: FolderTaker, error: TransportError, *, retryable: bool | None = None
    ) -> None:
        """The folder alone fails, unless it is the root or the trouble is the host's. `retryable`: None
        for what the error says."""
        self.takers.discard(taker)
        folder = taker.folder
        self.forget_below(folder)
        if taker.session.over:
            self.client.drop(taker.session)
        else:
            self.client.release(taker.session, well=False)
        lost = isinstance(error, ConnectionLost | Throttled) and not taker.heard
        if lost and folder.tries < FOLDER_TRIES_MAX:
            self._to_open.append(folder)
        elif folder.path:
            reason = Reason.NOT_A_LISTING if isinstance(error, NotAListing) else Reason.UNREADABLE
            later = error.retryable if retryable is None else retryable
            self.found.append(Skipped(folder.path, reason, str(error), retryable=later))
        elif isinstance(error, Vanished) and not retryable:
            where = show(self.root.path)
            raise RootMissing(f"the folder {where} cannot be listed: {error}")
        else:
            if error.stage is ConnectionStage.READ:
                error.stage = ConnectionStage.LIST
            raise error

    def _describe(self, session: Session) -> None:
        """Many questions in one write; the session comes free with the last answer."""
        count = min(len(self._to_describe), DESCRIBED_AT_ONCE)
        self._batches[session] = count
        for _ in range(count):
            path, row, tries = self._to_describe.popleft()
            self._count_bytes(-(sys.getsizeof(path) + len(row.name) + len(row.unique) + _ROW_BYTES))
            self._asked += 1
            self._ask_for(session, path, row, tries + 1)

    def _ask_for(self, session: Session, path: str, row: Row, tries: int) -> None:
        def done(described: Described) -> None:
            self.inbox.append(lambda: self._described(session, path, row, tries, described))

        ask_description(self.client, session, self.root.at(path), done)

    def _described(
        self, session: Session, path: str, row: Row, tries: int, described: Described
    ) -> None:
        self._asked -= 1
        self._batches[session] -= 1
        if not self._batches[session]:
            del self._batches[session]
            self.client.release(session)
        if described.lost is not None:
            if tries >= TRIES_MAX or isinstance(described.lost, Throttled):
                raise described.lost
            self._wait_for_words(path, row, tries)
        elif described.again and tries < TRIES_MAX:
            self._wait_for_words(path, row, tries)
        elif row.kind is None and described.kind not in (None, Kind.FILE):
            folder = path.rpartition("/")[0]
            above = FtpFolder(folder)
            self.take_row(above, Row(row.name, described.kind))
            self._open_below(above)
        elif self._is_doubtful(row, described):
            message = str(described.refused or "the host tells not what it is")
            folder = path.rpartition("/")[0]
            self.found.append(skipped_row(folder, row.name, message))
        else:
            self._take_described(path, row, described)

    def _is_doubtful(self, row: Row, described: Described) -> bool:
        """Whether the row may stand for another file than the one that it names: the host knows none of
        this name, or the row was cut and the host's own words about the file differ."""
        if row.cut:
            told = (described.size_bytes, described.modified_ns)
            same = row.size_bytes in (None, told[0]) and row.modified_ns in (None, told[1])
            return not (described.known and same)
        if described.known:
            self._knows_files = True
            return False
        if row.kind is None:
            return True
        refused = described.refused
        return isinstance(refused, Vanished) and (self._knows_files or not described.ambiguous)

    def _take_described(self, path: str, row: Row, described: Described) -> None:
        size = row.size_bytes if described.size_bytes is None else described.size_bytes
        modified = row.modified_ns if described.modified_ns is None else described.modified_ns
        features = self.client.features
        if row.when and features.list_zone_s is None and described.modified_ns is not None:
            features.list_zone_s = zone_s(row.when, described.modified_ns)
        if modified is None and row.listed_ns is not None:
            modified = row.listed_ns
            features.times_listed = True
        self._found_file(path, size, modified)


def _bytes_of(folder: FtpFolder) -> int:
    return sys.getsizeof(folder.path) + len(folder.unique) + _FOLDER_BYTES


def _may_hold_columns(name: bytes) -> bool:
    """Whether an unsafe name may be a column of the row, a date with slashes, and a name after it."""
    return b" " in name and name.partition(b"/")[0].isdigit()
