"""Lists a tree over SFTP: many folders at once, several READDIRs ahead in each, links not followed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from farends.contract import ROUND_ROWS, Reason, RemoteEntry, RoundListing, Seen, Skipped
from farends.errors import (
    ConnectionStage,
    PermissionRefused,
    RootMissing,
    TransportError,
    UnsafeName,
    Vanished,
)
from farends.names import decode, encode, join
from farends.sftp.client import SftpClient, is_end, make_status_error
from farends.sftp.packets import Attributes, Fields, PacketKind, pack_string
from farends.wire.backlog import Backlog
from farends.wire.far_text import show, skipped_name, skipped_row

FOLDERS_OPEN_MAX = 16
READDIRS_AHEAD_MAX = 8
READDIRS_MAX = 40  # of all folders: each answer may be a whole packet
LSTATS_AHEAD_MAX = 64


def remote_path(root: bytes, path: str) -> bytes:
    if not path:
        return root
    return root.rstrip(b"/") + b"/" + encode(path)


@dataclass(eq=False, slots=True)
class _Folder:
    path: str
    handle: bytes | None = None
    asked: int = 0  # READDIRs without an answer
    ahead: int = 2  # grows with each full answer: a second one saves a small folder a round trip
    ended: bool = False
    failed: bool = False
    rows: int = 0


class TreeWalk:
    """One listing. Iterate it once; what waits is bounded by the packets that are asked for at once: names
    are read out of them as they are yielded."""

    def __init__(self, client: SftpClient, root: bytes) -> None:
        self._client = client
        self._root = root
        self._unread: deque[tuple[_Folder, Iterator[tuple[bytes, Attributes]] | None]] = deque()
        self._found: deque[Seen] = deque()
        self._to_open: list[str] = [""]
        self._backlog = Backlog()
        self._backlog.add("")
        self._to_stat: deque[tuple[_Folder, bytes, str]] = deque()
        self._folders: set[_Folder] = set()
        self._readdirs_asked = 0
        self._stats_asked = 0
        self._root_error: TransportError | None = None
        self._over = False

    def __iter__(self) -> Iterator[Seen]:
        try:
            while True:
                yield from self._read_names()
                self._ask()
                if not self._folders and not self._stats_asked:
                    return
                self._client.pump()
                if self._root_error is not None:
                    raise self._explain(self._root_error)
        finally:
            self._over = True
            for folder in self._folders:
                if folder.handle is not None:
                    self._client.close_handle(folder.handle)

    def _read_names(self) -> Iterator[Seen]:
        """Reads names that have come, until there are enough to ask about."""
        while self._found:
            yield self._found.popleft()
        while self._unread and len(self._to_stat) < LSTATS_AHEAD_MAX:
            folder, names = self._unread[0]
            for raw, attributes in names or ():
                item = self._take_name(folder, raw, attributes)
                if item is not None:
                    yield item
                if len(self._to_stat) >= LSTATS_AHEAD_MAX:
                    return
            self._unread.popleft()
            if names is None and folder.rows in ROUND_ROWS and not folder.failed:
                yield RoundListing(folder.path, folder.rows)

    def _ask(self) -> None:
        while self._to_stat and self._stats_asked < LSTATS_AHEAD_MAX:
            self._stat(*self._to_stat.popleft())
        while self._to_open and len(self._folders) < FOLDERS_OPEN_MAX and not self._to_stat:
            path = self._to_open.pop()
            self._backlog.remove(path)
            self._open(path)
        for folder in self._folders:
            self._read_ahead(folder)

    def _open(self, path: str) -> None:
        folder = _Folder(path)
        self._folders.add(folder)

        def answer(kind: int, fields: Fields) -> None:
            if kind != PacketKind.HANDLE:
                if not self._over:
                    self._fail(folder, make_status_error(kind, fields, "opening the folder"))
                return
            folder.handle = fields.handle()
            if self._over:
                self._client.close_handle(folder.handle)

        self._client.request(PacketKind.OPENDIR, pack_string(remote_path(self._root, path)), answer)

    def _read_ahead(self, folder: _Folder) -> None:
        if folder.handle is None or folder.ended or self._to_stat or self._unread:
            return  # what has come is read first

        def answer(kind: int, fields: Fields) -> None:
            folder.asked -= 1
            self._readdirs_asked -= 1
            if not self._over:
                self._take_names(folder, kind, fields)

        while folder.asked < folder.ahead and self._readdirs_asked < READDIRS_MAX:
            folder.asked += 1
            self._readdirs_asked += 1
            self._client.request(PacketKind.READDIR, pack_string(folder.handle), answer)

    def _take_names(self, folder: _Folder, kind: int, fields: Fields) -> None:
        if kind == PacketKind.NAME and not folder.ended:
            count = fields.count_of_names()
            if count:
                folder.ahead = min(folder.ahead + 1, READDIRS_AHEAD_MAX)
                self._unread.append((folder, fields.names(count)))
            else:
                folder.ended = True  # some servers end a folder with no names instead of EOF
        elif kind != PacketKind.NAME and is_end(kind, fields):
            folder.ended = True
        elif not folder.ended:
            self._fail(folder, make_status_error(kind, fields, "reading the folder"))
        if folder.ended and not folder.asked and folder in self._folders:
            self._folders.discard(folder)
            self._unread.append((folder, None))
            if folder.handle is not None:
                self._client.close_handle(folder.handle)

    def _take_name(self, folder: _Folder, raw: bytes, attributes: Attributes) -> Seen | None:
        if raw in (b".", b".."):
            return None
        folder.rows += 1
        try:
            path = join(folder.path, decode(raw))
        except UnsafeName as exc:
            return skipped_name(folder.path, raw, str(exc))
        if attributes.is_regular:
            if attributes.size_bytes is not None:
                return RemoteEntry(path, attributes.size_bytes, attributes.modified_ns)
        elif attributes.tells_kind:
            return self._settle(folder, raw, path, attributes)
        self._to_stat.append((folder, raw, path))
        return None

    def _stat(self, folder: _Folder, raw: bytes, path: str) -> None:
        self._stats_asked += 1

        def answer(kind: int, fields: Fields) -> None:
            self._stats_asked -= 1
            if self._over:
                return
            if kind == PacketKind.ATTRS:
                item = self._settle(folder, raw, path, fields.attributes())
                if item is not None:
                    self._found.append(item)
            else:
                self._doubt(folder, raw, make_status_error(kind, fields, "asking for its kind"))

        self._client.request(PacketKind.LSTAT, pack_string(remote_path(self._root, path)), answer)

    def _doubt(self, folder: _Folder, raw: bytes, error: TransportError) -> None:
        """Of which kind the name is stays open. Where waiting may help, its folder is worth another look."""
        if not folder.path or not _may_help(error):
            self._found.append(skipped_row(folder.path, raw, str(error)))
        elif not folder.failed:
            folder.failed = True
            told = Skipped(folder.path, Reason.UNREADABLE, str(error), retryable=True)
            self._found.append(told)

    def _settle(
        self, folder: _Folder, raw: bytes, path: str, attributes: Attributes
    ) -> Seen | None:
        if attributes.is_regular:
            return RemoteEntry(path, attributes.size_bytes, attributes.modified_ns)
        if attributes.is_folder:
            self._backlog.add(path)
            self._to_open.append(path)
            return None
        if attributes.is_link:
            return Skipped(path, Reason.LINK, "a symbolic link, not followed")
        if attributes.tells_kind:
            return Skipped(path, Reason.SPECIAL, "no regular file")
        told = "the host does not tell whether it is a file or a folder"
        return skipped_row(folder.path, raw, told)

    def _fail(self, folder: _Folder, error: TransportError) -> None:
        folder.ended = folder.failed = True
        if not folder.path:
            self._root_error = error
            return
        told = Skipped(folder.path, Reason.UNREADABLE, str(error), retryable=_may_help(error))
        self._found.append(told)
        if folder.handle is None:
            self._folders.discard(folder)

    def _explain(self, error: TransportError) -> TransportError:
        """What an unreadable root means; asks once more where the server only says "failure"."""
        root = show(self._root)
        if isinstance(error, Vanished):
            return RootMissing(f"the folder {root} does not exist on the host")
        if not isinstance(error, PermissionRefused):
            kind, fields = self._client.call(PacketKind.STAT, pack_string(self._root))
            if kind == PacketKind.ATTRS and not fields.attributes().is_folder:
                return RootMissing(f"{root} is not a folder")
        error.stage = ConnectionStage.LIST
        return error


def _may_help(error: TransportError) -> bool:
    """Whether another look at a folder may go better; what is gone is so the next time."""
    return error.retryable and not isinstance(error, Vanished)
