"""Lists a tree with one `find`: one round trip however deep it is, links not followed."""

from __future__ import annotations

from collections.abc import Iterator

from farends.contract import Reason, RemoteEntry, Seen, Skipped
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    TransientError,
    UnsafeName,
)
from farends.secure_shell.commands import ShellSession
from farends.secure_shell.scripts import END, FAILED, LIST, Script, folder_argument
from farends.ssh.records import (
    ShellComplaint,
    parse_find_complaint,
    parse_record,
    record_splitter,
)
from farends.wire.far_text import show, skipped_name
from farends.wire.hiccups import tells_hiccup
from farends.wire.listed_paths import ListedPaths

_SPECIAL = b"p", b"s", b"b", b"c", b"D"


class ShellTree:
    """One listing. Iterate it once."""

    def __init__(self, session: ShellSession, root: bytes) -> None:
        self._session = session
        self._root = root
        self._paths = ListedPaths()
        self._understood = self._failed = self._complained = False

    def __iter__(self) -> Iterator[Seen]:
        script = Script(LIST, (folder_argument(self._root),))
        channel = self._session.run(script, stage=ConnectionStage.LIST)
        try:
            channel.enter(self._root)
            splitter = record_splitter()
            ended = False
            while not ended:
                if not (data := channel.receive()):
                    raise ConnectionLost(
                        "the listing ended before its end", stage=ConnectionStage.LIST
                    )
                records = splitter.feed(data)
                ended = bool(records) and records[-1] == END
                for raw in records[:-1] if ended else records:
                    item = self._item(raw)
                    if item is not None:
                        yield item
                yield from self._unreadable(channel.complaints())
            yield from self._unreadable(channel.end())
            if self._failed and not self._complained:
                raise TransientError("find failed, and did not say why", stage=ConnectionStage.LIST)
        finally:
            channel.close()

    def _item(self, raw: bytes) -> RemoteEntry | Skipped | None:
        if raw == FAILED:
            self._failed = True
            return None
        try:
            record = parse_record(raw)
        except ProtocolViolation as exc:
            if not self._understood:  # then it is no find that speaks
                raise
            return self._paths.unreadable(raw.split(b" ", 3)[-1], str(exc))
        self._understood = True
        if not record.path:
            return None
        try:
            path = self._paths.text(record.path)
        except UnsafeName as exc:
            return self._paths.refused(record.path, exc, is_folder=record.kind == b"d")
        if record.kind == b"f":
            return RemoteEntry(path, record.size_bytes, record.modified_ns)
        if record.kind == b"d":
            return None
        if record.kind == b"l":
            return Skipped(path, Reason.LINK, "a symbolic link, not followed")
        if record.kind in _SPECIAL:
            return Skipped(path, Reason.SPECIAL, "no regular file")
        return self._paths.unreadable(record.path, "find does not tell what kind of file it is")

    def _unreadable(self, lines: list[bytes]) -> Iterator[Skipped]:
        for line in lines:
            self._complained = True
            complaint = parse_find_complaint(line)
            if complaint is None:
                raise TransientError(f"find said: {show(line)}", stage=ConnectionStage.LIST)
            if "No such file" in complaint.text and complaint.path:
                continue  # went away between its folder's listing and the look at it
            yield self._skipped(complaint)

    def _skipped(self, complaint: ShellComplaint) -> Skipped:
        if not complaint.path:
            message = f"{show(self._root)}: {complaint.text}"
            if "Permission denied" in complaint.text:
                raise PermissionRefused(message, stage=ConnectionStage.LIST)
            raise TransientError(message, stage=ConnectionStage.LIST)
        text = complaint.text
        try:
            path = self._paths.text(complaint.path)
            return Skipped(path, Reason.UNREADABLE, text, retryable=tells_hiccup(text))
        except UnsafeName as exc:
            return skipped_name("", complaint.path, str(exc))
