"""Lists a tree over SFTP: many folders at once, several READDIRs ahead in each, links not followed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.contract import Reason, RemoteEntry, Seen, Skipped
from connectors.errors import (
    PermissionRefused,
    RootMissing,
    Stage,
    TransportError,
    UnsafeName,
    Vanished,
)
from connectors.names import decode, encode, join
from connectors.wire.backlog import Backlog
from connectors.wire.sftp_client import SftpClient, is_end, refusal
from connectors.wire.sftp_packets import Attributes, Fields, Kind, text
from connectors.wire.shown import shown, skipped_name

FOLDERS_OPEN_MAX = 16
READDIRS_AHEAD_MAX = 8
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


class TreeWalk:
    """One listing. Iterate it once; what waits is bounded by what the peer answers at once."""

    def __init__(self, client: SftpClient, root: bytes) -> None:
        self._client = client
        self._root = root
        self._found: deque[Seen] = deque()
        self._to_open: list[str] = [""]
        self._backlog = Backlog()
        self._backlog.add("")
        self._to_stat: deque[str] = deque()
        self._folders: set[_Folder] = set()
        self._stats_asked = 0
        self._root_error: TransportError | None = None
        self._over = False

    def __iter__(self) -> Iterator[Seen]:
        try:
            while True:
                while self._found:
                    yield self._found.popleft()
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

    def _ask(self) -> None:
        while self._to_stat and self._stats_asked < LSTATS_AHEAD_MAX:
            self._stat(self._to_stat.popleft())
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
            if kind != Kind.HANDLE:
                if not self._over:
                    self._fail(folder, refusal(kind, fields, "opening the folder"))
                return
            folder.handle = fields.text()
            if self._over:
                self._client.close_handle(folder.handle)
            else:
                self._read_ahead(folder)

        self._client.request(Kind.OPENDIR, text(remote_path(self._root, path)), answer)

    def _read_ahead(self, folder: _Folder) -> None:
        if folder.handle is None or folder.ended or self._to_stat:
            return

        def answer(kind: int, fields: Fields) -> None:
            folder.asked -= 1
            if not self._over:
                self._take_names(folder, kind, fields)

        while folder.asked < folder.ahead:
            folder.asked += 1
            self._client.request(Kind.READDIR, text(folder.handle), answer)

    def _take_names(self, folder: _Folder, kind: int, fields: Fields) -> None:
        if kind == Kind.NAME and not folder.ended:
            names = fields.names()
            if names:
                folder.ahead = min(folder.ahead + 1, READDIRS_AHEAD_MAX)
            else:
                folder.ended = True  # some servers end a folder with no names instead of EOF
            for raw, attributes in names:
                self._take_name(folder, raw, attributes)
        elif kind != Kind.NAME and is_end(kind, fields):
            folder.ended = True
        elif not folder.ended:
            self._fail(folder, refusal(kind, fields, "reading the folder"))
        if folder.ended and not folder.asked and folder in self._folders:
            self._folders.discard(folder)
            if folder.handle is not None:
                self._client.close_handle(folder.handle)

    def _take_name(self, folder: _Folder, raw: bytes, attributes: Attributes) -> None:
        if raw in (b".", b".."):
            return
        try:
            path = join(folder.path, decode(raw))
        except UnsafeName as exc:
            self._found.append(skipped_name(folder.path, raw, str(exc)))
            return
        known = attributes.mode is not None and (
            not attributes.is_regular or attributes.size_bytes is not None
        )
        if known:
            self._settle(path, attributes)
        else:
            self._to_stat.append(path)

    def _stat(self, path: str) -> None:
        self._stats_asked += 1

        def answer(kind: int, fields: Fields) -> None:
            self._stats_asked -= 1
            if self._over:
                return
            if kind == Kind.ATTRS:
                self._settle(path, fields.attributes())
            else:
                why = refusal(kind, fields, "asking for its kind")
                self._found.append(Skipped(path, Reason.UNREADABLE, str(why)))

        self._client.request(Kind.LSTAT, text(remote_path(self._root, path)), answer)

    def _settle(self, path: str, attributes: Attributes) -> None:
        if attributes.is_regular:
            self._found.append(RemoteEntry(path, attributes.size_bytes, attributes.modified_ns))
        elif attributes.is_folder:
            self._backlog.add(path)
            self._to_open.append(path)
        elif attributes.is_link:
            self._found.append(Skipped(path, Reason.LINK, "a symbolic link, not followed"))
        else:
            self._found.append(Skipped(path, Reason.SPECIAL, "no regular file"))

    def _fail(self, folder: _Folder, error: TransportError) -> None:
        folder.ended = True
        if not folder.path:
            self._root_error = error
            return
        self._found.append(Skipped(folder.path, Reason.UNREADABLE, str(error)))
        if folder.handle is None:
            self._folders.discard(folder)

    def _explain(self, error: TransportError) -> TransportError:
        """What an unreadable root means; asks once more where the server only says "failure"."""
        root = shown(self._root)
        if isinstance(error, Vanished):
            return RootMissing(f"the folder {root} does not exist on the host")
        if not isinstance(error, PermissionRefused):
            kind, fields = self._client.call(Kind.STAT, text(self._root))
            if kind == Kind.ATTRS and not fields.attributes().is_folder:
                return RootMissing(f"{root} is not a folder")
        error.stage = Stage.LIST
        return error
