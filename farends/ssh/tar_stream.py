"""A tar archive as it arrives, told member by member; nothing is ever made from a member's name."""

from __future__ import annotations

from typing import Protocol

from farends.errors import ProtocolViolation
from farends.ssh.tar_header import (
    BLOCK_BYTES,
    LONG_LINK,
    LONG_NAME,
    PAX,
    PAX_GLOBAL,
    Header,
    parse_header,
    parse_pax,
)

_METADATA_BYTES_MAX = 64 * 1024
_METADATA_MAX = 8  # headers before one member; tar writes four at most
_TRAILER_BYTES_MAX = 1024 * 1024
_ZEROS = bytes(BLOCK_BYTES)


class MemberTaker(Protocol):
    """Takes the members of the archive. What it raises passes through."""

    def begin(self, header: Header) -> None: ...

    def data(self, piece: memoryview) -> None: ...

    def end(self) -> None: ...


class TarStream:
    """Feed it what came. `ended` is true once the end-of-archive mark was seen."""

    def __init__(self, members: MemberTaker) -> None:
        self._members = members
        self._partial = b""  # of a header
        self._left_bytes = 0  # of the member's content
        self._padding_bytes = 0
        self._metadata: bytearray | None = None
        self._metadata_kind = b""
        self._metadata_count = 0
        self._long_name: bytes | None = None
        self._pax: dict[bytes, bytes] = {}
        self._trailer_bytes = 0
        self.ended = False

    @property
    def left_bytes(self) -> int:
        """How many bytes of the current member are still missing."""
        return self._left_bytes

    def feed(self, data: bytes) -> bytes:
        """Returns what comes after the archive. Raises ProtocolViolation."""
        view = memoryview(data)
        at = 0
        while at < len(data):
            if self.ended:
                return self._trail(data[at:])
            if self._left_bytes:
                at += self._content(view[at : at + self._left_bytes])
            elif self._padding_bytes:
                skipped = min(self._padding_bytes, len(data) - at)
                self._padding_bytes -= skipped
                at += skipped
            else:
                needed = BLOCK_BYTES - len(self._partial)
                self._partial += data[at : at + needed]
                at += needed
                if len(self._partial) == BLOCK_BYTES:
                    block, self._partial = self._partial, b""
                    self._header(block)
        return b""

    def _content(self, piece: memoryview) -> int:
        self._left_bytes -= len(piece)
        if self._metadata is not None:
            self._metadata += piece
            if not self._left_bytes:
                self._take_metadata(bytes(self._metadata))
        else:
            self._members.data(piece)
            if not self._left_bytes:
                self._members.end()
        return len(piece)

    def _header(self, block: bytes) -> None:
        if block == _ZEROS:
            if self._long_name is not None or self._pax:
                raise ProtocolViolation("the tar archive ends in a member")
            self.ended = True
            return
        header = parse_header(block)
        if header.kind in (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL):
            self._metadata_count += 1
            if header.size_bytes > _METADATA_BYTES_MAX or self._metadata_count > _METADATA_MAX:
                raise ProtocolViolation("a tar header that is too long")
            self._metadata, self._metadata_kind = bytearray(), header.kind
            self._expect(header.size_bytes)
            if not header.size_bytes:
                self._take_metadata(b"")
            return
        self._metadata_count = 0
        header = self._complete(header)
        self._expect(header.size_bytes)
        self._members.begin(header)
        if not header.size_bytes:
            self._members.end()

    def _expect(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self._padding_bytes = -size_bytes % BLOCK_BYTES

    def _complete(self, header: Header) -> Header:
        name = self._long_name if self._long_name is not None else header.name
        size_bytes = header.size_bytes
        if b"size" in self._pax:
            digits = self._pax[b"size"]
            if not digits.isdigit() or len(digits) > 19:
                raise ProtocolViolation("a pax size that is none")
            size_bytes = int(digits)
        name = self._pax.get(b"path", name)
        self._long_name, self._pax = None, {}
        return Header(name, header.kind, size_bytes)

    def _take_metadata(self, data: bytes) -> None:
        self._metadata = None
        if self._metadata_kind == LONG_NAME:
            self._long_name = data.rstrip(b"\0")
        elif self._metadata_kind == PAX:
            self._pax = parse_pax(data)

    def _trail(self, rest: bytes) -> bytes:
        """After the first block of zeros come zeros, up to a whole record of the archive."""
        after = rest.lstrip(b"\0")
        self._trailer_bytes += len(rest) - len(after)
        if self._trailer_bytes > _TRAILER_BYTES_MAX:
            raise ProtocolViolation("zeros without end after the end of the tar archive")
        return after
