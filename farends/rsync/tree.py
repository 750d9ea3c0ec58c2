"""Lists a tree with `rsync --list-only`: times of whole seconds, links not followed."""

from __future__ import annotations

from collections.abc import Iterator

from farends.contract import Reason, RemoteEntry, Seen, Skipped
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    TransientError,
    TransportError,
    UnsafeName,
)
from farends.rsync.child import RsyncChild
from farends.rsync.exits import exit_error
from farends.rsync.far import Far, RsyncSource
from farends.rsync.folders import Folders
from farends.rsync.lines import RsyncComplaint, parse_complaint, parse_listed
from farends.wire.far_text import show, skipped_name
from farends.wire.hiccups import HICCUPS
from farends.wire.listed_paths import ListedPaths

_MISSING = (2, 20)  # ENOENT, ENOTDIR


class RsyncTree:
    """One listing. Iterate it once."""

    def __init__(self, far: Far, place: RsyncSource, folders: Folders) -> None:
        self._place = place
        self._folders = folders
        self._paths = ListedPaths()
        self._root_seen = False
        self._child = far.list_only(place, ["--recursive"], [place.name(b"")])
        self._lines: list[bytes] = []

    def log_in(self) -> None:
        """Waits until the far end begins to answer. Raises what it refuses with; what is wrong with the
        folder is told when the tree is iterated."""
        try:
            while self._child.running and not self._lines:
                self._lines = self._child.poll()
            if not self._lines and (error := self._end_error()) is not None:
                raise error
        except TransportError as exc:
            exc.stage = ConnectionStage.LOG_IN
            raise

    def close(self) -> None:
        self._child.close()

    def __iter__(self) -> Iterator[Seen]:
        child = self._child
        try:
            while self._lines or child.running:
                lines, self._lines = self._lines, []
                for line in lines or child.poll():
                    item = self._item(line)
                    if item is not None:
                        yield item
            yield from self._end(child)
        finally:
            child.close()

    def _end_error(self) -> TransportError | None:
        return exit_error(self._child.wait(), self._child.complaints)

    def _item(self, line: bytes) -> RemoteEntry | Skipped | None:
        listed = parse_listed(line)
        if listed is None:
            if not self._root_seen:  # then it is no rsync that speaks
                raise ProtocolViolation(f"rsync said {show(line)}", stage=ConnectionStage.LIST)
            return self._paths.unreadable(line, f"rsync said {show(line)}")
        if listed.path == b".":
            self._root_seen = True
            return None
        if listed.kind == b"-":
            self._folders.saw(listed.path)
        try:
            path = self._paths.text(listed.path)
        except UnsafeName as exc:
            return self._paths.refused(listed.path, exc, is_folder=listed.kind == b"d")
        if listed.kind == b"-":
            return RemoteEntry(path, listed.size_bytes, listed.modified_ns)
        if listed.kind == b"d":
            return None
        if listed.kind == b"l":
            return Skipped(path, Reason.LINK, "a symbolic link, not followed")
        if listed.kind == b"?":
            return self._paths.unreadable(
                listed.path, "rsync does not tell what kind of file it is"
            )
        return Skipped(path, Reason.SPECIAL, "no regular file")

    def _end(self, child: RsyncChild) -> Iterator[Skipped]:
        code = child.wait()
        complaints = [c for c in map(parse_complaint, child.complaints) if c is not None]
        for complaint in complaints:
            raise_for_root(complaint, self._place)
        error = exit_error(code, child.complaints)
        if error is not None:
            error.stage = max(error.stage, ConnectionStage.LIST, key=list(ConnectionStage).index)
            raise error
        if not self._root_seen:
            raise ConnectionLost(
                "the listing did not begin with its folder", stage=ConnectionStage.LIST
            )
        if code and not complaints:
            told = b"; ".join(child.complaints)
            raise TransientError(
                f"the listing is not whole: {show(told)}", stage=ConnectionStage.LIST
            )
        for complaint in complaints:
            if complaint.errno not in _MISSING and "vanished" not in complaint.verb:
                yield self._unreadable(complaint)
        if code:
            for line in child.complaints:
                if line.strip() and parse_complaint(line) is None and not _is_summary(line):
                    yield Skipped("", Reason.UNREADABLE, f"rsync said {show(line)}")

    def _unreadable(self, complaint: RsyncComplaint) -> Skipped:
        path = self._place.inside(complaint.path)
        if path is None:
            raise TransientError(str(complaint.error), stage=ConnectionStage.LIST)
        may_help = complaint.errno in HICCUPS
        try:
            text = self._paths.text(path)
            return Skipped(text, Reason.UNREADABLE, complaint.text, retryable=may_help)
        except UnsafeName as exc:
            return skipped_name("", path, str(exc))


def _is_summary(line: bytes) -> bool:
    """What rsync says at its end of how it went, or of what it would have deleted."""
    return line.startswith((b"rsync error:", b"rsync warning:", b"IO error encountered"))


def raise_for_root(complaint: RsyncComplaint, place: RsyncSource) -> None:
    """Raises where the complaint is about the root itself."""
    if "change_dir" not in complaint.verb and place.inside(complaint.path) != b"":
        return
    root = show(place.folder) or "/"
    error: TransportError
    if complaint.errno in _MISSING:
        error = RootMissing(f"{root}: {complaint.text}")
    elif complaint.errno == 13:
        error = PermissionRefused(f"{root}: {complaint.text}")
    else:
        error = complaint.error
    error.stage = ConnectionStage.LIST
    raise error
