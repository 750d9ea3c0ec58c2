"""An SFTP version 3 client over one duplex channel: one thread, many requests in flight.

A request is sent with the function that takes its answer; `pump` waits for the peer and hands each
answer to the function of its request id. Several pipelines may share a client: whoever pumps
serves all of them.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Protocol

from farends.errors import (
    ConnectionLost,
    PermanentError,
    PermissionRefused,
    ProtocolViolation,
    Stalled,
    TransientError,
    TransportError,
    Vanished,
)
from farends.sftp.packets import (
    PACKET_BYTES_MAX,
    READ_BYTES_MAX,
    READ_BYTES_SAFE,
    Fields,
    PacketKind,
    Status,
    frame,
    pack_string,
)
from farends.wire.far_text import show

CHECK_EVERY_S = 0.5
_VERSION = 3
_RECEIVE_BYTES = 4 * 1024 * 1024
_SEND_BYTES = 64 * 1024
_PROGRESS_BYTES = 1024  # fewer bytes than this within `idle_s` is a drip

Answer = Callable[[int, Fields], None]


class Duplex(Protocol):
    """A byte stream both ways whose calls wait a fraction of a second at most.

    `receive` returns None when nothing came in time and b"" at the end; `send` returns how many
    bytes went, 0 when none could go in time. Both raise ConnectionLost.
    """

    def receive(self, limit: int) -> bytes | None: ...

    def send(self, data: memoryview) -> int: ...

    def close(self) -> None: ...


class SftpClient:
    """Speaks over a channel whose `sftp` subsystem has been started. See the module."""

    def __init__(
        self,
        duplex: Duplex,
        *,
        idle_s: float,
        check: Callable[[], None],
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        self._duplex = duplex
        self._idle_s = idle_s
        self._check = check
        self._moved = moved
        self._checked_at = time.monotonic()
        self._outgoing = bytearray()
        self._incoming: list[bytes] = []
        self._incoming_bytes = 0
        self._wanted_bytes = 4
        self._waiting: dict[int, Answer] = {}
        self._next_id = 0
        self._version: Fields | None = None
        self.grace_s = 0.0  # silence granted on top, to a host that reads before it answers
        self.read_bytes = READ_BYTES_SAFE
        self.handles_max: int | None = None

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        """Agrees on the version and learns the server's limits."""
        self._outgoing += struct.pack(">IBI", 5, PacketKind.INIT, _VERSION)
        while self._version is None:
            self.pump()
        extensions = _read_version(self._version)
        if b"limits@openssh.com" in extensions:
            kind, fields = self.call(PacketKind.EXTENDED, pack_string(b"limits@openssh.com"))
            if kind == PacketKind.EXTENDED_REPLY:
                self._learn_limits(fields)

    def request(self, kind: PacketKind, body: bytes, answer: Answer) -> None:
        """Queues a request; it leaves with the next pump."""
        request_id = self._next_id
        self._next_id = (request_id + 1) & 0xFFFFFFFF
        self._waiting[request_id] = answer
        self._outgoing += frame(kind, request_id, body)

    def call(self, kind: PacketKind, body: bytes) -> tuple[int, Fields]:
        """A request and its answer, waited for."""
        answers: list[tuple[int, Fields]] = []
        self.request(kind, body, lambda kind, fields: answers.append((kind, fields)))
        while not answers:
            self.pump()
        return answers[0]

    def close_handle(self, handle: bytes) -> None:
        self.request(PacketKind.CLOSE, pack_string(handle), _ignore)

    def pump(self) -> None:
        """Sends what is queued, waits for bytes of the peer, serves every whole packet among them.

        Raises Stalled, ConnectionLost, ProtocolViolation, and whatever `check` raises.
        """
        self._flush()
        served = False
        silent_since = time.monotonic()
        came_bytes = 0
        while not served:
            chunk = self._duplex.receive(_RECEIVE_BYTES)
            now = time.monotonic()
            self._check_at(now)
            if chunk:
                came_bytes += len(chunk)
                served = self._take(chunk)
            elif chunk is not None:
                raise ConnectionLost("the SFTP server ended the connection")
            if came_bytes >= _PROGRESS_BYTES:
                silent_since, came_bytes = now, 0
                self._moved()
            if not served and now - silent_since > self._idle_s + self.grace_s:
                raise Stalled(f"the SFTP server sent no answer for {self._idle_s:g} s")
        self._moved()

    def flush(self) -> None:
        self._flush()

    def close(self) -> None:
        self._duplex.close()

    def _check_at(self, now: float) -> None:
        if now - self._checked_at >= CHECK_EVERY_S:
            self._checked_at = now
            self._check()
            if self.grace_s:
                self._moved()

    def _flush(self) -> None:
        if not self._outgoing:
            return
        data, self._outgoing = memoryview(bytes(self._outgoing)), bytearray()
        silent_since = time.monotonic()
        while data:
            sent = self._duplex.send(data[:_SEND_BYTES])
            data = data[sent:]
            now = time.monotonic()
            self._check_at(now)
            if sent:
                silent_since = now
            elif now - silent_since > self._idle_s:
                raise Stalled(f"the SFTP server took no request for {self._idle_s:g} s")

    def _take(self, chunk: bytes) -> bool:
        self._incoming.append(chunk)
        self._incoming_bytes += len(chunk)
        if self._incoming_bytes < self._wanted_bytes:
            return False
        data = self._incoming[0] if len(self._incoming) == 1 else b"".join(self._incoming)
        self._incoming = []
        at, served = 0, False
        view = memoryview(data)
        while True:
            self._wanted_bytes = 4
            if len(data) - at < 4:
                break
            length = int.from_bytes(view[at : at + 4], "big")
            if not 5 <= length <= PACKET_BYTES_MAX:
                raise ProtocolViolation(f"an SFTP packet of {length} bytes")
            self._wanted_bytes = 4 + length
            if len(data) - at < self._wanted_bytes:
                break
            self._serve(view[at + 4 : at + 4 + length])
            served = True
            at += 4 + length
        if at < len(data):
            self._incoming.append(data[at:])
        self._incoming_bytes = len(data) - at
        return served

    def _serve(self, packet: memoryview) -> None:
        kind = packet[0]
        if kind == PacketKind.VERSION and self._version is None:
            self._version = Fields(packet[1:])
            return
        fields = Fields(packet[5:])
        answer = self._waiting.pop(int.from_bytes(packet[1:5], "big"), None)
        if answer is None:
            raise ProtocolViolation("the SFTP server answered what was not asked")
        answer(kind, fields)

    def _learn_limits(self, fields: Fields) -> None:
        packet_bytes, read_bytes = fields.uint64(), fields.uint64()
        fields.uint64()
        handles = fields.uint64()
        bound = min(read_bytes or READ_BYTES_MAX, (packet_bytes or PACKET_BYTES_MAX) - 1024)
        self.read_bytes = max(READ_BYTES_SAFE, min(READ_BYTES_MAX, bound))
        self.handles_max = handles or None


def _read_version(fields: Fields) -> dict[bytes, bytes]:
    version = fields.uint32()
    if version < _VERSION:
        raise ProtocolViolation(f"the SFTP server speaks version {version}, older than {_VERSION}")
    extensions = {}
    while fields.left:
        name = fields.text()
        extensions[name] = fields.text()
    return extensions


def _ignore(kind: int, fields: Fields) -> None:
    return None


def make_status_error(kind: int, fields: Fields, doing: str) -> TransportError:
    """The error that an answer other than the hoped-for one stands for.

    Raises it at once where it is about the connection and not about one file.
    """
    if kind != PacketKind.STATUS:
        raise ProtocolViolation(f"the SFTP server answered with packet type {kind} to {doing}")
    code = fields.uint32()
    told = show(fields.text()) if fields.left else ""
    message = f"{doing}: {told or 'refused'} (status {code})"
    match code:
        case Status.NO_SUCH_FILE:
            return Vanished(message)
        case Status.PERMISSION_DENIED:
            return PermissionRefused(message)
        case Status.NO_CONNECTION | Status.CONNECTION_LOST:
            raise ConnectionLost(message)
        case Status.BAD_MESSAGE | Status.OP_UNSUPPORTED:
            return PermanentError(message)
        case Status.OK:
            raise ProtocolViolation(message)
        case _:
            return TransientError(message)


def is_end(kind: int, fields: Fields) -> bool:
    """Whether an answer is the status EOF; leaves `fields` where they were."""
    return kind == PacketKind.STATUS and fields.peek_uint32() == Status.EOF
