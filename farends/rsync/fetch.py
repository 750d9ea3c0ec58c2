"""Fetches files by as few runs of rsync as can be, and looks at them again while others arrive."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack

from farends.contract import Fetched, RemoteEntry, Sink
from farends.errors import ProtocolViolation, TransportError, Unstable
from farends.rsync.batch import RsyncBatch, Sent
from farends.rsync.checksums import MD5, XXH128
from farends.rsync.child import RsyncChild
from farends.rsync.far import Far, RsyncSource
from farends.rsync.folders import Folders
from farends.rsync.lines import parse_complaint
from farends.rsync.looks import SecondLooks
from farends.rsync.tree import raise_for_root
from farends.wire.wanted import WantedFile

# The first run is small, so that answers come soon; each costs a tenth of a second of its own.
_FILES_MIN, _FILES_MAX = 128, 16_384
# What is looked at together. A sink may keep small files in memory until they are answered for.
_GROUP_FILES = 2_048
_GROUP_BYTES = 128 * 1024 * 1024
_SMALL_BYTES = 64 * 1024
_GROUP_SMALL_BYTES = 16 * 1024 * 1024
# Asking for another checksum than a batch has anyway costs a round trip, and more over TCP.
_MD5_BYTES_MAX = 64 * 1024 * 1024
_EXCESS_BYTES_MAX = 8 * 1024 * 1024
_UNASKED_BYTES_MAX = 16 * 1024 * 1024


class CutShort(Exception):
    """The run was ended on purpose; the files that are not whole are still due."""


class RsyncFetch:
    """One call of `fetch`."""

    def __init__(
        self,
        far: Far,
        place: RsyncSource,
        folders: Folders,
        entries: Iterable[RemoteEntry],
        sink: Sink,
    ) -> None:
        self._far = far
        self._place = place
        self._folders = folders
        self._entries = iter(entries)
        self._sink = sink
        self._checksum = XXH128
        self._files_max = _FILES_MIN
        self._put_off: deque[RemoteEntry] = deque()
        self._due: dict[bytes, WantedFile] = {}
        self._group: list[WantedFile] = []
        self._group_bytes = self._group_small_bytes = 0
        self._looks = SecondLooks(far, place, folders)
        self._marker = secrets.token_hex(8) + " "

    def __iter__(self) -> Iterator[Fetched]:
        try:
            with self._looks:
                while self._next_batch():
                    while self._due and not (yield from self._run(self._due)):
                        pass
                    self._look_at_rest()
                    if self._files_max == _FILES_MIN:
                        yield from self._looks.answers(all_of_them=True)
                        self._files_max = _FILES_MAX
                yield from self._looks.answers(all_of_them=True)
        finally:
            with ExitStack() as work:
                for wanted in (*self._due.values(), *self._group):
                    if wanted.receiver is not None:
                        work.callback(wanted.receiver.abandon)

    def _next_batch(self) -> bool:
        put_off, self._put_off = self._put_off, deque()
        while len(self._due) < self._files_max:
            entry = put_off.popleft() if put_off else next(self._entries, None)
            if entry is None:
                break
            wanted = WantedFile.of(entry)
            if wanted.path in self._due:
                self._put_off.append(entry)  # the same path twice
            else:
                self._due[wanted.path] = wanted
        self._put_off.extend(put_off)
        return bool(self._due)

    def _run(self, due: Mapping[bytes, WantedFile]) -> Generator[Fetched, None, bool]:
        """One rsync over these files. False where it was cut short and the others are still due."""
        names = map(self._place.name, self._folders.names_of(due))
        due_bytes = sum(wanted.entry.size_bytes or 0 for wanted in due.values())
        checksum = self._checksum if due_bytes > _MD5_BYTES_MAX else MD5
        child = self._far.fetch(self._place, names, self._marker, checksum)
        try:
            yield from self._receive(RsyncBatch(child, checksum, self._marker))
            self._listen(child)
        except CutShort:
            return False
        except TransportError:
            if checksum is MD5 or not _is_about_checksum(child):
                raise
            self._checksum = MD5
            return False
        finally:
            child.close()
        return True

    def _receive(self, batch: RsyncBatch) -> Iterator[Fetched]:
        listed = batch.read_list()
        unasked = sum(s.size_bytes for s in listed if s.is_file and s.path not in self._due)
        if unasked > _UNASKED_BYTES_MAX:
            if not self._folders.forget():
                raise ProtocolViolation("rsync lists files that nobody asked for")
            raise CutShort
        try:
            while (sent := batch.next_file()) is not None:
                self._take(batch, sent)
                if self._is_group_full() and batch.is_confirmed():
                    self._look_at_group()
                yield from self._looks.answers()
        except CutShort:
            batch.is_confirmed()
            raise
        if not self._due and batch.is_confirmed():
            self._look_at_group()  # beside the far end's good-bye
        batch.finish()

    def _take(self, batch: RsyncBatch, sent: Sent) -> None:
        wanted = self._due.pop(sent.path, None)
        if wanted is None:
            if _count_bytes(batch, sent, _nowhere) is None:
                raise ProtocolViolation("rsync sends a file without end")
            return
        self._group.append(wanted)
        self._group_bytes += sent.size_bytes
        self._group_small_bytes += min(sent.size_bytes, _SMALL_BYTES)
        if wanted.has_size(sent.size_bytes):
            wanted.receive(self._sink)
        count = _count_bytes(batch, sent, wanted.write)
        if count is None:
            wanted.fail(Unstable("more came than was listed"))
            raise CutShort
        if count != sent.size_bytes or not batch.verified:
            wanted.fail(Unstable("the file changed while rsync read it"))
        wanted.finish()

    def _is_group_full(self) -> bool:
        return (
            len(self._group) >= _GROUP_FILES
            or self._group_bytes >= _GROUP_BYTES
            or self._group_small_bytes >= _GROUP_SMALL_BYTES
        )

    def _look_at_group(self) -> None:
        if self._group:
            self._looks.ask(self._group)
        self._group = []
        self._group_bytes = self._group_small_bytes = 0

    def _look_at_rest(self) -> None:
        """At the end of a run: also at what did not come, which tells why."""
        self._group += self._due.values()
        self._due.clear()
        self._look_at_group()

    def _listen(self, child: RsyncChild) -> None:
        for complaint in filter(None, map(parse_complaint, child.complaints)):
            raise_for_root(complaint, self._place)
            path = self._place.inside(complaint.path)
            wanted = self._due.get(complaint.path if path is None else path)
            if wanted is not None:
                wanted.fail(complaint.error)


def _count_bytes(
    batch: RsyncBatch, sent: Sent, write: Callable[[bytes | memoryview], None]
) -> int | None:
    """Passes on what comes, never more than was listed. None where that is so much more that its end is
    not worth waiting for."""
    count = 0
    for piece in batch.pieces():
        count += len(piece)
        if count <= sent.size_bytes:
            write(piece)
        elif count > sent.size_bytes + _EXCESS_BYTES_MAX:
            return None
    return count


def _nowhere(piece: bytes | memoryview) -> None:
    """Takes the bytes of files that nobody asked for."""


def _is_about_checksum(child: RsyncChild) -> bool:
    """Whether the far end is too old for the one that was asked for, or refuses the option."""
    return any(b"checksum" in line for line in child.complaints)
