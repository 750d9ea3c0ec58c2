"""One remote file out of a shell, from any byte on, on a channel of its own."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from farends.errors import (
    ConnectionLost,
    TransportError,
    Truncated,
    Vanished,
)
from farends.secure_shell.commands import ShellSession
from farends.secure_shell.scripts import READ, Script, folder_argument
from farends.ssh.records import RECORD_BYTES_MAX, ShellComplaint, parse_record
from farends.wire.far_text import show


class ShellFile:
    """Leaving the context closes the channel. `size_bytes` is the whole file's, as the host tells it now."""

    def __init__(self, session: ShellSession, root: bytes, path: bytes, offset: int) -> None:
        arguments = (folder_argument(root), path, b"%d" % (offset + 1))
        self._channel = session.run(Script(READ, arguments, lasts=True))
        self._first = b""  # bytes of the file that came along with its size
        try:
            self._channel.enter(root)
            self.size_bytes = self._read_size()
        except BaseException:
            self._channel.close()
            raise
        self._left_bytes = max(0, self.size_bytes - offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def __iter__(self) -> Iterator[bytes]:
        """The bytes from the offset on, up to the size. Raises TransportError's children; Truncated where
        the file ends before its size."""
        data, self._first = self._first, b""
        while self._left_bytes:
            data = data or self._channel.receive()
            if not data:
                raise self._complaint() or Truncated(f"{self._left_bytes} bytes did not come")
            data = data[: self._left_bytes]
            self._left_bytes -= len(data)
            yield data
            data = b""

    def _read_size(self) -> int:
        said = b""
        while b"\0" not in said:
            data = self._channel.receive()
            said += data
            if not data or (b"\0" not in said and len(said) > RECORD_BYTES_MAX):
                raise self._complaint() or ConnectionLost("the host did not tell the file's size")
        raw, _, self._first = said.partition(b"\0")
        record = parse_record(raw)
        if record.kind != b"f":
            raise Vanished("it is no regular file any more")
        return record.size_bytes

    def _complaint(self) -> TransportError | None:
        lines = self._channel.complaints()
        if not lines:
            return None
        text = lines[0].rpartition(b": ")[2]
        return ShellComplaint(b"", show(text)).error()
