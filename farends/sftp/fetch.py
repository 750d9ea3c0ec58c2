"""Fetches many files over one SFTP client: 64 files and 8 MiB in flight, never waiting for one file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from farends.contract import Fetched, RemoteEntry, Sink
from farends.errors import (
    PermanentError,
    ProtocolViolation,
    TransportError,
    Unstable,
    Vanished,
)
from farends.names import encode
from farends.sftp.client import SftpClient, is_end, make_status_error
from farends.sftp.packets import Attributes, Fields, PacketKind, open_body, pack_string, read_body
from farends.sftp.proving import SftpProver
from farends.sftp.transfer import Transfer
from farends.sftp.tree import remote_path

FILES_MAX = 64
BYTES_IN_FLIGHT_MAX = 8 * 1024 * 1024
# Of answers that came before others that precede them in their files. A host that answers in turn needs none.
BYTES_HELD_MAX = 16 * 1024 * 1024


class Fetch:
    """One call of `fetch`. Answers of the peer are noted first and acted on after the pump, so that
    what a sink raises leaves the client whole."""

    def __init__(
        self,
        client: SftpClient,
        prover: SftpProver,
        root: bytes,
        entries: Iterable[RemoteEntry],
        sink: Sink,
    ) -> None:
        self._client = client
        self._prover = prover
        self._root = root
        self._entries = iter(entries)
        self._sink = sink
        self._files_max = min(FILES_MAX, max(1, (client.handles_max or FILES_MAX * 2) // 2))
        self._active: set[Transfer] = set()
        self._to_read: deque[Transfer] = deque()
        self._todo: deque[Callable[[], None]] = deque()
        self._done: deque[Fetched] = deque()
        self._bytes_in_flight = 0
        self._bytes_held = 0
        self._exhausted = False
        self._over = False

    def __iter__(self) -> Iterator[Fetched]:
        try:
            while True:
                self._start_files()
                self._ask()
                while self._done:
                    yield self._done.popleft()
                if not self._active:
                    if self._exhausted:
                        return
                    continue
                self._client.pump()
                while self._todo:
                    self._todo.popleft()()
        finally:
            self._abandon()

    def _start_files(self) -> None:
        while not self._exhausted and len(self._active) < self._files_max:
            entry = next(self._entries, None)
            if entry is None:
                self._exhausted = True
                return
            self._open(Transfer(entry))

    def _ask(self) -> None:
        while self._to_read and self._bytes_in_flight < BYTES_IN_FLIGHT_MAX:
            if self._bytes_held > BYTES_HELD_MAX and not self._put_gap_first():
                return
            transfer = self._to_read[0]
            if not transfer.over and not transfer.everything_asked:
                self._read(transfer)
            if transfer.over or transfer.everything_asked:
                self._to_read.popleft()
                transfer.queued = False
                if not transfer.over and transfer.failure is None:
                    self._stat(transfer)

    def _put_gap_first(self) -> bool:
        """With enough held, only what lies before it is asked for; False where that is on its way."""
        for transfer in self._to_read:
            if transfer.has_gap:
                self._to_read.remove(transfer)
                self._to_read.appendleft(transfer)
                return True
        return False

    def _open(self, transfer: Transfer) -> None:
        self._active.add(transfer)

        def answer(kind: int, fields: Fields) -> None:
            if self._over:
                if kind == PacketKind.HANDLE:
                    self._client.close_handle(fields.handle())
                return
            self._todo.append(lambda: self._opened(transfer, kind, fields))

        path = remote_path(self._root, transfer.entry.path)
        self._client.request(PacketKind.OPEN, open_body(path), answer)

    def _opened(self, transfer: Transfer, kind: int, fields: Fields) -> None:
        if kind != PacketKind.HANDLE:
            self._fail(transfer, make_status_error(kind, fields, "opening the file"))
            return
        transfer.handle = fields.handle()
        receiver = self._sink.receive(transfer.entry)
        if transfer.receive_into(receiver):
            path = encode(transfer.entry.path)
            self._prover.prove(self._root, path, transfer.handle, receiver)
            transfer.go_on()
        if transfer.size_bytes is None:
            self._stat(transfer)
        else:
            self._queue(transfer)

    def _queue(self, transfer: Transfer) -> None:
        if not transfer.queued:
            transfer.queued = True
            self._to_read.append(transfer)

    def _read(self, transfer: Transfer) -> None:
        offset, length = transfer.next_range(self._client.read_bytes)
        self._bytes_in_flight += length

        def answer(kind: int, fields: Fields) -> None:
            self._bytes_in_flight -= length
            if not self._over:
                self._todo.append(lambda: self._arrived(transfer, offset, length, kind, fields))

        self._client.request(
            PacketKind.READ, read_body(transfer.handle or b"", offset, length), answer
        )

    def _arrived(
        self, transfer: Transfer, offset: int, length: int, kind: int, fields: Fields
    ) -> None:
        transfer.asked -= 1
        if transfer.over:
            return
        if kind == PacketKind.DATA:
            held_bytes = transfer.held_bytes
            transfer.arrived(offset, length, fields.view())
            self._bytes_held += transfer.held_bytes - held_bytes
        elif is_end(kind, fields):
            transfer.ended(offset)
        else:
            self._fail(transfer, make_status_error(kind, fields, "reading the file"))
            return
        if transfer.failure is not None:
            self._fail_described(transfer)
            return
        if not transfer.everything_asked:
            self._queue(transfer)
        elif transfer.complete and not transfer.stats_asked:
            self._stat(transfer)

    def _fail_described(self, transfer: Transfer) -> None:
        """Fails a file with what the host now says of it, so that a second try knows its size."""
        self._bytes_held -= transfer.held_bytes
        transfer.drop()
        if not transfer.stats_asked:
            self._stat(transfer)

    def _stat(self, transfer: Transfer) -> None:
        transfer.stats_asked += 1

        def answer(kind: int, fields: Fields) -> None:
            if not self._over:
                self._todo.append(lambda: self._described(transfer, kind, fields))

        self._client.request(PacketKind.FSTAT, pack_string(transfer.handle or b""), answer)

    def _described(self, transfer: Transfer, kind: int, fields: Fields) -> None:
        transfer.stats_asked -= 1
        if transfer.over:
            return
        if kind != PacketKind.ATTRS:
            self._fail(transfer, make_status_error(kind, fields, "asking for the file's size"))
            return
        attributes = fields.attributes()
        if transfer.failure is not None:
            self._fail(transfer, transfer.failure, _observed(transfer, attributes))
        elif transfer.size_bytes is None:
            transfer.size_bytes = attributes.size_bytes
            if attributes.size_bytes is None:
                self._fail(transfer, PermanentError("the server does not tell the file's size"))
            else:
                self._queue(transfer)
        elif transfer.complete:
            self._finish(transfer, attributes)
        elif transfer.everything_asked and not transfer.asked:
            raise ProtocolViolation("the SFTP server's answers do not add up to the file")

    def _finish(self, transfer: Transfer, attributes: Attributes) -> None:
        observed = _observed(transfer, attributes)
        if attributes.mode is not None and not attributes.is_regular:
            self._fail(transfer, Vanished("it is no regular file any more"), observed)
        elif transfer.grown and attributes.size_bytes in (None, transfer.size_bytes):
            self._fail(transfer, Unstable("the file holds more than its size says"), observed)
        elif transfer.receiver is not None:
            try:
                receipt = transfer.receiver.finish()
            except TransportError as exc:
                self._fail(transfer, exc, observed)
                return
            self._end(transfer)
            self._done.append(Fetched(transfer.entry, receipt, observed))

    def _fail(
        self, transfer: Transfer, error: TransportError, observed: RemoteEntry | None = None
    ) -> None:
        self._end(transfer)
        if transfer.receiver is not None:
            transfer.receiver.abandon()
        self._done.append(Fetched(transfer.entry, observed=observed, error=error))

    def _end(self, transfer: Transfer) -> None:
        transfer.over = True
        self._bytes_held -= transfer.held_bytes
        transfer.drop()
        self._active.discard(transfer)
        if transfer.handle is not None:
            self._client.close_handle(transfer.handle)

    def _abandon(self) -> None:
        self._over = True
        self._todo.clear()
        for transfer in self._active:
            if transfer.handle is not None:
                self._client.close_handle(transfer.handle)
        with ExitStack() as receivers:  # every one, even where one of them raises
            for transfer in self._active:
                if transfer.receiver is not None:
                    receivers.callback(transfer.receiver.abandon)


def _observed(transfer: Transfer, attributes: Attributes) -> RemoteEntry:
    return RemoteEntry(transfer.entry.path, attributes.size_bytes, attributes.modified_ns)
