"""What the rsync program writes with `--only-write-batch`: the far end's own answers, as they come in.

Protocol 30 and 31 (flist.c, io.c, match.c of rsync 3.x): a head, the list of files, then for each file that
the program asked for its number in the sorted list, flags, its bytes in pieces, and a digest.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from farends.errors import ConnectionLost, ProtocolViolation, TransportError
from farends.rsync.checksums import Checksum
from farends.rsync.child import RsyncChild
from farends.rsync.exits import exit_error
from farends.rsync.lines import unescape_row

_PROTOCOLS = (30, 31)
_VARINT_FLAGS = 1 << 7  # of the compatibility flags
_INCREMENTAL = 1 << 0

# Flags of an entry of the list; those of what was not asked for (owners, devices, links) never come.
_SAME_MODE, _EXTENDED, _SAME_UID, _SAME_GID = 1 << 1, 1 << 2, 1 << 3, 1 << 4
_SAME_NAME, _LONG_NAME, _SAME_TIME, _MOD_NSEC = 1 << 5, 1 << 6, 1 << 7, 1 << 13
_END_WITH_ERROR = _EXTENDED | 1 << 12

_TRANSFER = 1 << 15  # flags of an item
_FOLLOWED = 1 << 11 | 1 << 12  # by words on a file here to build upon: there is none
_NO_BLOCKS = bytes(16)
_DONE = -1
_NAME_BYTES_MAX = 64 * 1024
_ENTRY_BYTES = 200  # what an entry costs beside its name
_LISTED_BYTES_MAX = 96 * 1024 * 1024
_UNNAMED_MAX = 50_000  # files that came, and whose names the program has not told
_PIECE_BYTES_MAX = 1024 * 1024
_TOGETHER_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """One entry of the list, as it was when the run began."""

    path: bytes
    mode: int
    size_bytes: int

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)


class RsyncBatch:
    """One run, from its head to its end. `marker` begins the line that the program prints for a file."""

    def __init__(self, child: RsyncChild, checksum: Checksum, marker: str) -> None:
        self._child = child
        self._checksum = checksum
        self._marker = marker.encode("ascii") + b">f"
        self._data = memoryview(b"")
        self._at = 0
        self._number = -1
        self._sorted: list[Sent] = []
        self._begun: list[bytes] = []
        self._told: list[bytes] = []
        self.verified = False

    def read_list(self) -> list[Sent]:
        """Returns every entry that may come. Raises what the run failed with."""
        self._int()  # of the options that were given
        version = self._int()
        if version not in _PROTOCOLS:
            raise ProtocolViolation(f"rsync speaks protocol {version}: 3.0 or later is needed")
        flags = self._varint()
        if flags & _INCREMENTAL:
            raise ProtocolViolation("rsync sends its list in pieces")
        self._int()  # the seed of checksums of blocks
        self._sorted = sorted(self._entries(bool(flags & _VARINT_FLAGS)), key=_order)
        return self._sorted

    def next_file(self) -> Sent | None:
        """The file whose bytes come now; None at the end."""
        while True:
            # With nothing listed the program has ended already.
            if not self._sorted or self._next_number() == _DONE:
                return None
            if not 0 <= self._number < len(self._sorted):
                raise ProtocolViolation("rsync sends what it has not listed")
            low, high = self._take(2)
            flags = low | high << 8
            if flags & _FOLLOWED:
                raise ProtocolViolation("rsync builds upon a file that is not here")
            if flags & _TRANSFER:
                break
        if self._take(16) != _NO_BLOCKS:
            raise ProtocolViolation("rsync sends a difference to a file that is not here")
        sent = self._sorted[self._number]
        self._begun.append(sent.path)
        if len(self._begun) > _UNNAMED_MAX:
            self.is_confirmed()
        if max(len(self._begun), len(self._told)) > _UNNAMED_MAX:
            raise ProtocolViolation("rsync sends files that it does not name")
        return sent

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The bytes of that file; all of them must be taken. `verified` then tells whether they are what
        the far end has read, to its end."""
        hashed = self._checksum.start()
        together: list[memoryview] = []
        size_bytes = 0
        while count := self._int():
            if not 0 < count <= _PIECE_BYTES_MAX:
                raise ProtocolViolation("rsync sends a piece that is none")
            piece = self._take(count)
            hashed.update(piece)
            together.append(piece)
            size_bytes += count
            if size_bytes >= _TOGETHER_BYTES:
                yield b"".join(together)
                together, size_bytes = [], 0
        self.verified = self._checksum.verifies(
            hashed, bytes(self._take(self._checksum.size_bytes))
        )
        if together:
            yield together[0] if len(together) == 1 else b"".join(together)

    def finish(self) -> int:
        """Waits for the end, and returns the exit code where the run itself went well."""
        while self._child.running:
            self._listen()
            self._child.take()
        code = self._child.wait()
        error = exit_error(code, self._child.complaints)
        if error is not None:
            raise error
        if not self.is_confirmed():
            raise ProtocolViolation("rsync sends files that it does not name")
        return code

    def is_confirmed(self) -> bool:
        """Whether the program has named all files that have begun: its words may come later than theirs.
        Raises where it names others."""
        count = min(len(self._told), len(self._begun))
        if self._told[:count] != self._begun[:count]:
            raise ProtocolViolation("rsync names other files than it sends")
        del self._told[:count], self._begun[:count]
        return not self._begun

    def _entries(self, wide_flags: bool) -> Iterator[Sent]:
        path = b""
        mode = 0
        cost_bytes = 0
        while True:
            flags = self._entry_flags(wide_flags)
            if not flags:
                return
            kept = self._byte() if flags & _SAME_NAME else 0
            count = self._varint() if flags & _LONG_NAME else self._byte()
            if not 0 <= count <= _NAME_BYTES_MAX or kept > len(path):
                raise ProtocolViolation("rsync lists a name without end")
            path = path[:kept] + bytes(self._take(count))
            size_bytes = self._varlong(3)
            if not flags & _SAME_TIME:
                self._varlong(4)
            if flags & _MOD_NSEC:
                self._varint()
            if not flags & _SAME_MODE:
                mode = self._int()
            if not (flags & _SAME_UID and flags & _SAME_GID):
                raise ProtocolViolation("rsync lists owners, which nobody asked for")
            cost_bytes += len(path) + _ENTRY_BYTES
            if cost_bytes > _LISTED_BYTES_MAX:
                break
            yield Sent(path, mode, size_bytes)
        raise ProtocolViolation("rsync lists files without end")

    def _entry_flags(self, wide: bool) -> int:
        """0 at the end of the list, behind its error code: the complaints tell more."""
        if wide:
            flags = self._varint()
            if not flags:
                self._varint()
            return flags
        flags = self._byte()
        if flags & _EXTENDED:
            flags |= self._byte() << 8
        if flags == _END_WITH_ERROR:
            self._varint()
            return 0
        return flags

    def _next_number(self) -> int:
        """Numbers come as the difference to the one before."""
        first = self._byte()
        if first == 0:
            return _DONE
        if first == 0xFF:
            raise ProtocolViolation("rsync sends what nobody asked for")
        if first < 0xFE:
            self._number += first
            return self._number
        high, low = self._take(2)
        if high & 0x80:
            rest = self._take(2)
            self._number = (high & 0x7F) << 24 | rest[1] << 16 | rest[0] << 8 | low
        else:
            self._number += high << 8 | low
        return self._number

    def _varint(self) -> int:
        first = self._byte()
        extra = _extra_bytes(first)
        if not extra:
            return first
        low = self._take(extra)
        top = first & ((1 << (8 - extra)) - 1)
        return int.from_bytes(low, "little") | top << (8 * extra)

    def _varlong(self, least: int) -> int:
        """A number of at least so many bytes, its highest first and the others from the lowest on."""
        first = self._byte()
        extra = _extra_bytes(first)
        low = self._take(least - 1 + extra)
        top = first & ((1 << (8 - extra)) - 1) if extra else first
        return int.from_bytes(low, "little") | top << (8 * len(low))

    def _int(self) -> int:
        return int.from_bytes(self._take(4), "little", signed=True)

    def _byte(self) -> int:
        if self._at == len(self._data):
            self._fill(1)
        self._at += 1
        return self._data[self._at - 1]

    def _take(self, count: int) -> memoryview:
        at, end = self._at, self._at + count
        if end > len(self._data):
            self._fill(count)
            at, end = 0, count
        self._at = end
        return self._data[at:end]

    def _fill(self, count: int) -> None:
        parts: list[bytes | memoryview] = [self._data[self._at :]]
        have = len(parts[0])
        while have < count:
            arrived = self._child.take()
            if arrived:
                parts += arrived
                have += sum(map(len, arrived))
            elif self._child.running:
                self._listen()
            else:
                raise self._cut_short()
        self._data, self._at = memoryview(b"".join(parts)), 0

    def _listen(self) -> None:
        for line in self._child.poll():
            if line.startswith(self._marker):
                self._told.append(unescape_row(line[len(self._marker) :].partition(b" ")[2]))

    def _cut_short(self) -> TransportError:
        error = exit_error(self._child.wait(), self._child.complaints)
        return error or ConnectionLost("rsync ended before all had come")


def _extra_bytes(first: int) -> int:
    """How many more bytes a number has that begins with this one: as many as its leading ones."""
    if first < 0x80:
        return 0
    return 6 if first >= 0xFC else 8 - (first ^ 0xFF).bit_length()


def _order(sent: Sent) -> bytes:
    """rsync's order: in a folder its files first; a folder as if its name ended with a slash."""
    folder, slash, name = sent.path.rpartition(b"/")
    if stat.S_ISDIR(sent.mode):
        if sent.path == b".":
            return b"\0"
        return b"\1" + sent.path.replace(b"/", b"/\1") + b"/"
    before = b"\1" + folder.replace(b"/", b"/\1") + b"/" if slash else b""
    return before + b"\0" + name
