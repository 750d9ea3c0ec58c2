"""One HTTP/1.1 connection that never blocks, with several requests in flight where that is safe."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque

from farends.errors import ConnectionLost, TransportError
from farends.http.exchange import Exchange
from farends.web.response import ResponseReader
from farends.web.url import Origin
from farends.wire.far_text import show

RECEIVE_BYTES = 256 * 1024
DRAIN_BYTES_MAX = 64 * 1024  # more unwanted bytes than this cost more than a new connection
PROGRESS_BYTES = 1024  # fewer bytes than this within `idle_s` is a drip
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """Whoever owns it waits for its socket, then calls `receive` or `flush`. Once `over`, the first
    exchange in flight is the one that `failure` hit; those behind it are unanswered."""

    def __init__(self, origin: Origin, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.origin = origin
        self.socket = connected
        self.in_flight: deque[Exchange] = deque()
        self.weight_bytes = 0
        self.served = 0
        self.silent_s = 0.0  # waited without progress
        self.asked_at = (
            0.0  # when the first exchange in flight could be answered, by the monotonic clock
        )
        self.over = False
        self.failure: TransportError | None = None
        self.keeps: bool | None = None  # whether the host lets it live after an answer
        self._came_bytes = 0
        self._reader = ResponseReader()
        self._outgoing = bytearray()

    @property
    def wants_to_send(self) -> bool:
        return bool(self._outgoing)

    @property
    def wants_to_receive(self) -> bool:
        return not (self.in_flight and self.in_flight[0].paused)

    @property
    def has_decrypted(self) -> bool:
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    @property
    def answering(self) -> bool:
        """Whether a byte of the answer to the first exchange has come."""
        return self._reader.begun

    def send(self, exchange: Exchange) -> None:
        self.in_flight.append(exchange)
        self.weight_bytes += exchange.weight_bytes
        self._outgoing += exchange.wire
        exchange.on_wire = True
        if len(self.in_flight) == 1:
            self._reader.expect(exchange)
            self.silent_s, self._came_bytes = 0.0, 0
            self.asked_at = time.monotonic()

    def flush(self) -> None:
        try:
            while self._outgoing:
                sent = self.socket.send(self._outgoing)
                del self._outgoing[:sent]
        except _NOT_NOW:
            return
        except OSError:
            self._outgoing.clear()  # the answer, or its absence, tells more than this

    def receive(self) -> bool:
        """Reads what is there. Returns whether that was progress."""
        left = RECEIVE_BYTES
        progress = False
        while left > 0 and not self.over and self.wants_to_receive:
            try:
                data = self.socket.recv(left)
            except _NOT_NOW:
                break
            except OSError as exc:
                self._end(exc)
                break
            if not data:
                self._end(None)
                break
            left -= len(data)
            progress = self._take(data) or progress
            if not isinstance(self.socket, ssl.SSLSocket):
                break
        return progress

    def close(self) -> None:
        self.over = True
        self.socket.close()

    def _take(self, data: bytes) -> bool:
        if not self.in_flight:
            self.over = True
            return False
        self._came_bytes += len(data)
        served = self.served
        try:
            while data and self.in_flight and not self.over:
                rest = self._reader.feed(data)
                if rest is None:
                    break
                self._next_exchange(more=bool(rest))
                data = rest
        except TransportError as exc:
            self.over, self.failure = True, exc
        self._look_at_head()
        if self._came_bytes < PROGRESS_BYTES and self.served == served:
            return False
        self.silent_s, self._came_bytes = 0.0, 0
        return True

    def _next_exchange(self, *, more: bool) -> None:
        done = self.in_flight.popleft()
        self.weight_bytes -= done.weight_bytes
        self.served += 1
        self.keeps = done.head is not None and done.head.keep_alive
        if not self.keeps:
            self.over = True
        elif self.in_flight:
            self._reader.expect(self.in_flight[0])
            self.asked_at = time.monotonic()
        elif more:
            self.over = True  # bytes that nobody asked for

    def _look_at_head(self) -> None:
        """Gives up a connection on which more than is worth draining is still to come."""
        head = self._reader.head
        if head is None:
            return
        self.keeps = head.keep_alive
        if not self.in_flight or not self.in_flight[0].unwanted:
            return
        if head.length is None or head.length - self._reader.body_bytes > DRAIN_BYTES_MAX:
            unwanted = self.in_flight.popleft()
            self.weight_bytes -= unwanted.weight_bytes
            self.over = True

    def _end(self, exc: OSError | None) -> None:
        self.over = True
        if not self.in_flight:
            return
        head = self._reader.head
        if exc is not None and (head is None or not head.framed):
            self.failure = ConnectionLost(f"the connection failed: {show(str(exc))}")
        else:
            self.failure = self._reader.ended()
            if self.failure is None:
                done = self.in_flight.popleft()
                self.weight_bytes -= done.weight_bytes
                self.served += 1
