"""The backlog of a paramiko channel as a queue of chunks.

paramiko keeps it in one array: each packet is copied in, each read copies it out and moves the rest
to the front. On a file of 1 GiB that is most of what the receiving thread does.
"""

from __future__ import annotations

import threading
from collections import deque

from paramiko.buffered_pipe import BufferedPipe, PipeTimeout

_TOGETHER_BYTES = 256 * 1024
_SMALL_BYTES = (
    4 * 1024
)  # a chunk of fewer costs more than its bytes, and goes into one with its neighbours


class ChunkPipe(BufferedPipe):  # type: ignore[type-arg]
    """Takes the place of `Channel.in_buffer`, with the part of its interface that a channel uses."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: deque[bytes | bytearray] = deque()
        self._size_bytes = 0
        self._ended = False
        self._changed = threading.Condition()

    def feed(self, data: bytes | str) -> None:
        chunk = data.encode() if isinstance(data, str) else data
        with self._changed:
            self._append(chunk)
            self._size_bytes += len(chunk)
            self._changed.notify()

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        with self._changed:
            if not self._chunks and not self._ended:
                self._changed.wait(timeout)
            if not self._chunks:
                if self._ended:
                    return b""
                raise PipeTimeout
            chunk = self._take(nbytes)
            self._size_bytes -= len(chunk)
            return chunk

    def _append(self, chunk: bytes) -> None:
        if len(chunk) >= _SMALL_BYTES:
            self._chunks.append(chunk)
            return
        last = self._chunks[-1] if self._chunks else b""
        if isinstance(last, bytearray) and len(last) < _TOGETHER_BYTES:
            last += chunk
        elif self._chunks:
            self._chunks.append(bytearray(chunk))
        else:
            self._chunks.append(chunk)  # the usual case: the reader has taken all that came before

    def _take(self, limit: int) -> bytes:
        first = bytes(self._chunks.popleft())
        if len(first) > limit:
            self._chunks.appendleft(first[limit:])
            return first[:limit]
        taken: list[bytes | bytearray] = [first]
        size = len(first)
        # Small chunks together cost less than a turn for each; large ones are not worth the copy.
        while self._chunks and size + len(self._chunks[0]) <= min(limit, _TOGETHER_BYTES):
            taken.append(self._chunks.popleft())
            size += len(taken[-1])
        return first if len(taken) == 1 else b"".join(taken)

    def read_ready(self) -> bool:
        with self._changed:
            return bool(self._chunks)

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return self._size_bytes  # asked for each packet; one number needs no lock
