"""One remote file as a stream out of a shell."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from farends.errors import (
    ConnectionLost,
    TransportError,
    Truncated,
    Vanished,
)
from farends.secure_shell.commands import ShellChannel, ShellSession
from farends.secure_shell.scripts import READ, Script, folder_argument
from farends.ssh.records import RECORD_BYTES_MAX, ShellComplaint, parse_record
from farends.wire.shown import shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ShellFile(io.RawIOBase):
    """Reads raise TransportError's children; Truncated where the file ends before its size."""

    def __init__(self, session: ShellSession, root: bytes, path: bytes, offset: int) -> None:
        super().__init__()
        arguments = (folder_argument(root), path, b"%d" % (offset + 1))
        self._channel: ShellChannel | None = session.run(Script(READ, arguments, lasts=True))
        self._ready = memoryview(b"")
        try:
            self._channel.enter(root)
            self.size_bytes = self._read_size()
        except BaseException:
            self.close()
            raise
        self._left_bytes = max(0, self.size_bytes - offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        if not self._left_bytes:
            return 0
        if not self._ready:
            self._ready = memoryview(self._receive())
            if not self._ready:
                raise self._complaint() or Truncated(f"{self._left_bytes} bytes did not come")
        count = min(len(into), len(self._ready), self._left_bytes)
        into[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        self._left_bytes -= count
        return count

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        super().close()

    def _receive(self) -> bytes:
        if self._channel is None:
            raise ValueError("I/O operation on closed file")
        return self._channel.receive()

    def _read_size(self) -> int:
        said = b""
        while b"\0" not in said:
            data = self._receive()
            said += data
            # The file's own bytes may have come along with the record.
            if not data or (b"\0" not in said and len(said) > RECORD_BYTES_MAX):
                raise self._complaint() or ConnectionLost("the host did not tell the file's size")
        raw, _, rest = said.partition(b"\0")
        self._ready = memoryview(rest)
        record = parse_record(raw)
        if record.kind != b"f":
            raise Vanished("it is no regular file any more")
        return record.size_bytes

    def _complaint(self) -> TransportError | None:
        lines = self._channel.complaints() if self._channel is not None else []
        if not lines:
            return None
        text = lines[0].rpartition(b": ")[2]
        return ShellComplaint(b"", shown(text)).error()
