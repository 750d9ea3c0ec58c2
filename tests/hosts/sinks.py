"""Sinks for tests: one that keeps digests, one that raises, and the context that allows loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from farends.contract import Context, Patience, RemoteEntry
from farends.dialing import Dialer, Policy

LOOPBACK = Dialer(Policy.parse(["127.0.0.0/8", "::1/128"]))


def loopback_context(
    *, idle_s: float = 20.0, check: Callable[[], None] | None = None, log_in_s: float = 20.0
) -> Context:
    patience = Patience(connect_s=5.0, log_in_s=log_in_s, idle_s=idle_s)
    if check is None:
        return Context(LOOPBACK, patience)
    return Context(LOOPBACK, patience, check)


@dataclass(frozen=True)
class Digest:
    size_bytes: int
    sha256: str


def digest_of(content: bytes) -> Digest:
    return Digest(len(content), hashlib.sha256(content).hexdigest())


class DigestReceiver:
    def __init__(self, entry: RemoteEntry, sink: DigestSink) -> None:
        self.entry = entry
        self.abandoned = False
        self.finished = False
        self.written_bytes = 0
        self._sink = sink
        self._held = sink.held.get(entry.path, b"")
        self.offset = self.size_bytes = len(self._held)
        self._hash = hashlib.sha256(self._held)

    def prefix_sha256(self) -> bytes:
        return self._hash.digest()

    def rewind(self) -> None:
        assert not self.written_bytes
        self.offset = self.size_bytes = 0
        self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.size_bytes += len(data)
        self.written_bytes += len(data)
        if self._sink.on_write is not None:
            self._sink.on_write(self)

    def finish(self) -> Digest:
        self.finished = True
        return Digest(self.size_bytes, self._hash.hexdigest())

    def abandon(self) -> None:
        self.abandoned = True


@dataclass
class DigestSink:
    """Receipts are `Digest`s. `on_write` may raise, or note what came; `held` is, by path, what an
    earlier try has left."""

    on_write: Callable[[DigestReceiver], None] | None = None
    held: dict[str, bytes] = field(default_factory=dict)
    receivers: list[DigestReceiver] = field(default_factory=list)

    def receive(self, entry: RemoteEntry) -> DigestReceiver:
        receiver = DigestReceiver(entry, self)
        self.receivers.append(receiver)
        return receiver

    @property
    def left_open(self) -> list[DigestReceiver]:
        return [r for r in self.receivers if not r.finished and not r.abandoned]
