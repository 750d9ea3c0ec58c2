"""SFTP version 3 packets (draft-ietf-secsh-filexfer-02), with every count and length that comes from
the peer checked against the bytes that are there."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from farends.errors import ProtocolViolation

PACKET_BYTES_MAX = 256 * 1024 + 4096
READ_BYTES_SAFE = 32 * 1024  # what every server must be able to answer
READ_BYTES_MAX = 255 * 1024
HANDLE_BYTES_MAX = 4096  # the draft allows 256


class PacketKind(IntEnum):
    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    LSTAT = 7
    FSTAT = 8
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(IntEnum):
    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


_ATTR_SIZE = 0x1
_ATTR_OWNER = 0x2
_ATTR_PERMISSIONS = 0x4
_ATTR_TIMES = 0x8
_ATTR_EXTENDED = 0x80000000
_NO_ATTRIBUTES = struct.pack(">I", 0)
_OPEN_READ = struct.pack(">II", 1, 0)  # SSH_FXF_READ, no attributes

_UINT32 = struct.Struct(">I")
_UINT64 = struct.Struct(">Q")
_HEADER = struct.Struct(">IBI")
_RANGE = struct.Struct(">QI")


@dataclass(frozen=True, slots=True)
class Attributes:
    size_bytes: int | None = None
    mode: int | None = None
    modified_s: int | None = None

    @property
    def is_regular(self) -> bool:
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def tells_kind(self) -> bool:
        """Some servers tell who may do what, and leave out the bits for file or folder."""
        return self.mode is not None and stat.S_IFMT(self.mode) != 0

    @property
    def is_link(self) -> bool:
        return self.mode is not None and stat.S_ISLNK(self.mode)

    @property
    def modified_ns(self) -> int | None:
        return None if self.modified_s is None else self.modified_s * 1_000_000_000


class Fields:
    """Takes the fields of one packet's body in turn. Raises ProtocolViolation past its end."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def _take(self, count: int) -> int:
        at = self._at
        if count > len(self._body) - at:
            raise ProtocolViolation("an SFTP packet is shorter than its fields say")
        self._at = at + count
        return at

    def uint32(self) -> int:
        value: int = _UINT32.unpack_from(self._body, self._take(4))[0]
        return value

    def peek_uint32(self) -> int:
        value = self.uint32()
        self._at -= 4
        return value

    def uint64(self) -> int:
        value: int = _UINT64.unpack_from(self._body, self._take(8))[0]
        return value

    def view(self) -> memoryview:
        """A string field, not copied."""
        length = self.uint32()
        at = self._take(length)
        return self._body[at : at + length]

    def text(self) -> bytes:
        return bytes(self.view())

    def rest(self) -> bytes:
        """What is left of the body."""
        return bytes(self._body[self._take(self.left) :])

    def skip_text(self) -> None:
        self._take(self.uint32())

    def attributes(self) -> Attributes:
        flags = self.uint32()
        size = self.uint64() if flags & _ATTR_SIZE else None
        if flags & _ATTR_OWNER:
            self._take(8)
        mode = self.uint32() if flags & _ATTR_PERMISSIONS else None
        modified_s = None
        if flags & _ATTR_TIMES:
            self._take(4)
            modified_s = self.uint32()
        if flags & _ATTR_EXTENDED:
            pairs = self.uint32()
            if pairs * 8 > self.left:
                raise ProtocolViolation("an SFTP packet counts more attributes than it holds")
            for _ in range(pairs * 2):
                self.skip_text()
        if size is not None and size >= 1 << 63:
            size = None  # one absurd number is that file's trouble
        return Attributes(size, mode, modified_s)

    def handle(self) -> bytes:
        """A handle goes back to the server with each request, so a long one is sent many times."""
        handle = self.text()
        if len(handle) > HANDLE_BYTES_MAX:
            raise ProtocolViolation(f"the SFTP server names a file by {len(handle)} bytes")
        return handle

    def count_of_names(self) -> int:
        """Reads the count of a NAME packet; `names` then gives as many."""
        count = self.uint32()
        if count * 12 > self.left:
            raise ProtocolViolation("an SFTP packet counts more names than it holds")
        return count

    def names(self, count: int) -> Iterator[tuple[bytes, Attributes]]:
        """As they are taken: together they cost much more than their packet. The long form is for people,
        and never read."""
        for _ in range(count):
            name = self.text()
            self.skip_text()
            yield name, self.attributes()


def frame(kind: PacketKind, request_id: int, body: bytes) -> bytes:
    return _HEADER.pack(len(body) + 5, kind, request_id) + body


def pack_string(value: bytes) -> bytes:
    return _UINT32.pack(len(value)) + value


def open_body(path: bytes) -> bytes:
    return pack_string(path) + _OPEN_READ


def read_body(handle: bytes, offset: int, length: int) -> bytes:
    return pack_string(handle) + _RANGE.pack(offset, length)
