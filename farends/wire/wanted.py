"""Follows one file that was asked for: the bytes that came, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from farends.contract import Fetched, Receiver, RemoteEntry, Sink
from farends.errors import TransientError, TransportError, Truncated, Unstable, Vanished
from farends.names import encode


@dataclass(eq=False, slots=True)
class WantedFile:
    """One file on its way: asked for, then its bytes, then a second look at it."""

    entry: RemoteEntry
    path: bytes
    size_bytes: int | None = None  # as told when its bytes came
    receiver: Receiver | None = None
    receipt: object | None = None
    error: TransportError | None = None
    whole: bool = False
    has_prefix: bool = False  # its first bytes may be here; what is sent is then left alone

    @classmethod
    def of(cls, entry: RemoteEntry) -> WantedFile:
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

    def receive(self, sink: Sink, *, worth_bytes: int | None = None) -> None:
        """Opens the receiver. With as many bytes of an earlier try as are worth a question, it keeps them
        and takes none until they are proved (`has_prefix`); else it starts again."""
        self.receiver = receiver = sink.receive(self.entry)
        offset, size = receiver.offset, self.entry.size_bytes
        if not offset:
            return
        if worth_bytes is None or size is None or not worth_bytes <= offset <= size:
            receiver.rewind()
        else:
            self.has_prefix = True

    def write(self, piece: bytes | memoryview) -> None:
        if self.receiver is None or self.error is not None or self.has_prefix or not piece:
            return
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
