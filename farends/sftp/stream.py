"""One remote file as a stream over SFTP, with some blocks read ahead."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farends.errors import PermanentError, ProtocolViolation, Truncated
from farends.sftp.client import SftpClient, is_end, make_status_error
from farends.sftp.packets import Fields, PacketKind, open_body, pack_string, read_body

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCKS_AHEAD = 16


@dataclass(eq=False, slots=True)
class _Block:
    offset: int
    length: int
    answer: tuple[int, Fields] | None = None


class RemoteFile(io.RawIOBase):
    """Reads raise TransportError's children; Truncated where the file ends before its size."""

    def __init__(self, client: SftpClient, path: bytes, offset: int) -> None:
        super().__init__()
        self._client = client
        self._handle: bytes | None = None
        kind, fields = client.call(PacketKind.OPEN, open_body(path))
        if kind != PacketKind.HANDLE:
            raise make_status_error(kind, fields, "opening the file")
        self._handle = fields.handle()
        self._blocks: deque[_Block] = deque()
        self._ready = memoryview(b"")
        self._next = offset
        try:
            self._size_bytes = self._ask_size()
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        while not self._ready:
            self._ask_ahead()
            if not self._blocks:
                return 0
            self._take_first()
        count = min(len(into), len(self._ready))
        into[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        if not self.closed and self._handle is not None:
            self._client.close_handle(self._handle)
            self._handle = None
        super().close()

    def _ask_size(self) -> int:
        kind, fields = self._client.call(PacketKind.FSTAT, pack_string(self._handle or b""))
        if kind != PacketKind.ATTRS:
            raise make_status_error(kind, fields, "asking for the file's size")
        attributes = fields.attributes()
        if attributes.size_bytes is None:
            raise PermanentError("the server does not tell the file's size")
        return attributes.size_bytes

    def _ask_ahead(self) -> None:
        while self._next < self._size_bytes and len(self._blocks) < BLOCKS_AHEAD:
            length = min(self._client.read_bytes, self._size_bytes - self._next)
            self._blocks.append(self._ask(self._next, length))
            self._next += length

    def _ask(self, offset: int, length: int) -> _Block:
        block = _Block(offset, length)

        def answer(kind: int, fields: Fields) -> None:
            block.answer = (kind, fields)

        self._client.request(
            PacketKind.READ, read_body(self._handle or b"", offset, length), answer
        )
        return block

    def _take_first(self) -> None:
        block = self._blocks[0]
        while block.answer is None:
            self._client.pump()
        self._blocks.popleft()
        kind, fields = block.answer
        if kind != PacketKind.DATA:
            if is_end(kind, fields):
                raise Truncated(f"the file ended at byte {block.offset} of {self._size_bytes}")
            raise make_status_error(kind, fields, "reading the file")
        data = fields.view()
        if not 0 < len(data) <= block.length:
            raise ProtocolViolation(f"the server answered {block.length} bytes with {len(data)}")
        if len(data) < block.length:
            rest = self._ask(block.offset + len(data), block.length - len(data))
            self._blocks.appendleft(rest)
        self._ready = data
