"""One file that was asked for, until it is answered for: what came of it, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import Fetched, Receiver, RemoteEntry, Sink
from connectors.errors import TransientError, TransportError, Truncated, Unstable, Vanished
from connectors.names import encode


@dataclass(eq=False, slots=True)
class Wanted:
    """One file on its way: asked for, then its bytes, then a second look at it."""

    entry: RemoteEntry
    path: bytes
    size_bytes: int | None = None  # as told when its bytes came
    receiver: Receiver | None = None
    receipt: object | None = None
    error: TransportError | None = None
    whole: bool = False
    here_bytes: int = 0  # of its first bytes, which are sent again but were received before

    @classmethod
    def of(cls, entry: RemoteEntry) -> Wanted:
        return cls(entry, encode(entry.path))

    def has_size(self, size_bytes: int) -> bool:
        """Whether that is the listed size; fails the file where it is not."""
        self.size_bytes = size_bytes
        listed = self.entry.size_bytes
        if listed is not None and size_bytes < listed:
            self.fail(Truncated(f"the file has {size_bytes} bytes of {listed}"))
        elif listed is not None and size_bytes > listed:
            self.fail(Unstable(f"the file grew to {size_bytes} bytes from {listed}"))
        return self.error is None

    def receive(self, sink: Sink) -> None:
        """Opens the receiver and takes into account what it has from an earlier try."""
        self.receiver = receiver = sink.receive(self.entry)
        if not receiver.offset:
            return
        if self.entry.size_bytes is None or receiver.offset > self.entry.size_bytes:
            receiver.rewind()
        self.here_bytes = receiver.offset

    def write(self, piece: bytes | memoryview) -> None:
        if self.receiver is None or self.error is not None:
            return
        if self.here_bytes:
            count = min(self.here_bytes, len(piece))
            self.here_bytes -= count
            piece = piece[count:]
        if piece:
            try:
                self.receiver.write(piece)
            except TransportError as exc:
                self.fail(exc)

    def finish(self) -> None:
        if self.receiver is not None and self.error is None:
            try:
                self.receipt = self.receiver.finish()
                self.whole = True
            except TransportError as exc:
                self.fail(exc)

    def fail(self, error: TransportError) -> None:
        self.error = self.error or error
        if self.receiver is not None:
            self.receiver.abandon()

    def answer(self, observed: RemoteEntry | None, *, gone: str = "") -> Fetched:
        """`observed` is None where the second look found no regular file; `gone` then says why."""
        if observed is None:
            self.fail(Vanished(gone or None))
        elif not self.whole:
            self.fail(TransientError("the host left the file out"))
        elif self.entry.size_bytes is None and observed.size_bytes != self.size_bytes:
            self.fail(Unstable())
        if self.error is not None:
            return Fetched(self.entry, observed=observed, error=self.error)
        return Fetched(self.entry, self.receipt, observed)
