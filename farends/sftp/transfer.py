"""One file on its way over SFTP: which bytes to ask for, and putting in order what arrives. Pure.

One byte more than the listed size is asked for: a file that has it has grown, or its size was a lie.
"""

from __future__ import annotations

from farends.contract import Receiver, RemoteEntry
from farends.errors import ProtocolViolation, TransportError, Truncated

_PIECE_BYTES = 200  # what a piece costs beside its bytes


class Transfer:
    def __init__(self, entry: RemoteEntry) -> None:
        self.entry = entry
        self.handle: bytes | None = None
        self.receiver: Receiver | None = None
        self.size_bytes = entry.size_bytes
        self.asked = 0  # READs without an answer
        self.stats_asked = 0
        self.queued = False  # in the queue of files with bytes to ask for
        self.over = False
        self.grown = False
        self.failure: TransportError | None = None
        self._next = 0
        self._again: list[tuple[int, int]] = []
        self._held: dict[int, bytes] = {}  # arrived before what precedes it
        self.held_bytes = 0  # what these cost
        self._written = 0
        self._end_seen = False

    @property
    def everything_asked(self) -> bool:
        return not self._again and self.size_bytes is not None and self._next > self.size_bytes

    @property
    def has_gap(self) -> bool:
        """Whether a part must be asked for again because its answer was short."""
        return bool(self._again)

    @property
    def complete(self) -> bool:
        return self._end_seen and self._written == self.size_bytes and not self.asked

    def receive_into(self, receiver: Receiver) -> bool:
        """Whether the receiver has bytes already that fit the listed size, and that are to be proved."""
        self.receiver = receiver
        if not receiver.offset:
            return False
        if self.size_bytes is None or receiver.offset > self.size_bytes:
            receiver.rewind()
            return False
        return True

    def go_on(self) -> None:
        """After the bytes that the receiver has."""
        if self.receiver is not None:
            self._next = self._written = self.receiver.offset

    def next_range(self, limit: int) -> tuple[int, int]:
        """The next (offset, length) to ask for; only while not `everything_asked`."""
        self.asked += 1
        if self._again:
            return self._again.pop()
        if self.size_bytes is None:
            raise AssertionError("a range was asked for before the size was known")
        offset = self._next
        length = min(limit, self.size_bytes + 1 - offset)
        self._next = offset + length
        return offset, length

    def arrived(self, offset: int, length: int, data: memoryview) -> None:
        """Takes the answer to a range. Raises ProtocolViolation, and what the receiver raises to stop
        the transport; what it raises against this file becomes the `failure`."""
        if not 0 < len(data) <= length:
            raise ProtocolViolation(f"the SFTP server answered {length} bytes with {len(data)}")
        size = self.size_bytes or 0
        end = offset + len(data)
        if end > size:
            self.grown = self._end_seen = True
            data = data[: size - offset]
        elif len(data) < length:
            if end == size:  # short by the one byte that should not be there
                self._end_seen = True
            else:
                self._again.append((end, length - len(data)))
        if offset == self._written:
            self._write(data)
            while self._held and self._written in self._held:
                piece = self._held.pop(self._written)
                self.held_bytes -= len(piece) + _PIECE_BYTES
                self._write(memoryview(piece))
        elif data:
            self._held[offset] = bytes(data)
            self.held_bytes += len(data) + _PIECE_BYTES

    def ended(self, offset: int) -> None:
        """Takes an answer "end of file", which is a failure where bytes were still to come."""
        self._end_seen = True
        if self.size_bytes is not None and offset < self.size_bytes and self.failure is None:
            self.failure = Truncated(f"the file ended at byte {offset} of {self.size_bytes}")

    def drop(self) -> None:
        """Ends the transfer: nothing more is asked for or written."""
        self._again.clear()
        self._held.clear()
        self.held_bytes = 0
        self._next = (self.size_bytes or 0) + 1

    def _write(self, data: memoryview) -> None:
        if data and self.receiver is not None and self.failure is None:
            try:
                self.receiver.write(data)
            except TransportError as exc:
                self.failure = exc
            self._written += len(data)
