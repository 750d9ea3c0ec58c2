"""HTTP over a few connections, in one thread: whoever pumps serves every exchange in flight."""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from farends.contract import Capabilities, Context
from farends.errors import ConnectionLost, Stalled, TransportError
from farends.http.connection import Connection
from farends.http.exchange import Exchange
from farends.web.auth import Credentials
from farends.web.dates import epoch_s
from farends.web.opening import open_socket
from farends.web.response import Head
from farends.web.url import Origin, Url
from farends.wire.far_text import show

PIPELINE_MAX = 16
PIPELINE_BYTES_MAX = 512 * 1024  # what waits behind one response should not wait long
TRIES_MAX = 3
UNKEPT_SESSIONS_MAX = 4
_SLICE_S = 0.5
_CHECK_EVERY_S = 0.5
_CLOCK_ERROR_S = 2.0  # a Date has whole seconds, and is made before the answer is on its way


class HttpClient:
    """Speaks to one origin, whose credentials go nowhere else, and to where it redirects."""

    def __init__(
        self,
        origin: Origin,
        credentials: Credentials,
        tls: ssl.SSLContext,
        tls_elsewhere: ssl.SSLContext,
        sessions: int,
        context: Context,
    ) -> None:
        self.origin = origin
        self.capabilities = Capabilities(ranges_tried=False, clock_error_s=_CLOCK_ERROR_S)
        self._credentials = credentials
        self._tls = tls
        self._tls_elsewhere = tls_elsewhere
        self._sessions = sessions
        self._context = context
        self._queue: deque[Exchange] = deque()
        self._connections: list[Connection] = []
        self._keeps: bool | None = None  # whether the host keeps connections; None: not known yet
        self._known = False
        self._checked_at = time.monotonic()
        self._answered_at: float | None = None  # when the host last answered anything

    def start(self) -> None:
        """Opens the first connection, so that what is wrong with host or certificate shows early."""
        self._open(self.origin)

    def submit(self, exchange: Exchange) -> None:
        """Queues an exchange; it leaves with the next pump."""
        self._queue.append(exchange)

    def submit_next(self, exchange: Exchange) -> None:
        """Queues an exchange before those that wait: it brings what was begun to its end."""
        self._queue.appendleft(exchange)

    def fields(self, method: str, url: Url) -> Mapping[str, str]:
        return self._credentials.fields(method, url.target) if url.origin == self.origin else {}

    def take_challenge(self, url: Url, www_authenticate: str) -> bool:
        return url.origin == self.origin and self._credentials.take_challenge(www_authenticate)

    def send(self) -> None:
        """Sends what is queued, as far as there are connections for it."""
        self._assign()

    def pump(self) -> None:
        """Sends what is queued and waits up to half a second for the hosts.

        Raises what concerns the connection and no single exchange, and whatever `check` raises.
        """
        self._assign()
        self._serve()
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_EVERY_S:
            self._checked_at = now
            self._context.check()

    def note_precision(self, precision_ns: int) -> None:
        """Listings tell times no more exactly than this."""
        self.capabilities = replace(self.capabilities, modified_precision_ns=precision_ns)

    def note_digests(self, by: str) -> None:
        self.capabilities = replace(self.capabilities, digests=by)

    def note_ranges(self, *, work: bool) -> None:
        """A part of a file was asked for, and came or did not."""
        self.capabilities = replace(self.capabilities, ranges=work, ranges_tried=True)

    def note_host(self, head: Head) -> None:
        """Learns what the host tells about itself from the first answer that is its own."""
        if self._known:
            return
        self._known = True
        told = epoch_s(head.fields.get("date"))
        self.capabilities = replace(
            self.capabilities,
            ranges=self.capabilities.ranges
            and head.fields.get("accept-ranges", "").lower() != "none",
            server_software=show(head.fields.get("server", "")),
            clock_skew_s=None if told is None else round(told + 0.5 - time.time(), 1),
        )

    def close(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def _assign(self) -> None:
        waiting, self._queue = self._queue, deque()
        while waiting:
            exchange = waiting.popleft()
            if exchange.unwanted:
                continue
            try:
                connection = self._connection_for(exchange)
            except BaseException as exc:
                if isinstance(exc, TransportError) and exchange.url.origin != self.origin:
                    exchange.on_error(exc)  # where a redirect led is that one file's trouble
                    continue
                self._queue.extend([exchange, *waiting])
                raise
            if connection is None:
                self._queue.append(exchange)
                if exchange.url.origin == self.origin:
                    self._queue.extend(waiting)  # no room for this one, so none for the next
                    break
                continue
            connection.send(exchange)
        for connection in self._connections:
            connection.flush()

    def _connection_for(self, exchange: Exchange) -> Connection | None:
        origin = exchange.url.origin
        count = 0
        least: Connection | None = None
        for connection in self._connections:
            if connection.origin != origin:
                continue
            if not connection.in_flight:
                return connection
            count += 1
            if least is None or len(connection.in_flight) < len(least.in_flight):
                least = connection
        if count < self._sessions_now():
            return self._open(origin)
        return least if least is not None and self._has_room(least, exchange) else None

    def _sessions_now(self) -> int:
        """One until the host is known; few where each answer costs it a connection, for such hosts
        have short queues, and a connection that finds the queue full waits a second."""
        if self._keeps is None:
            return 1
        return self._sessions if self._keeps else min(self._sessions, UNKEPT_SESSIONS_MAX)

    def _has_room(self, connection: Connection, exchange: Exchange) -> bool:
        # Behind answers without a body nothing waits long, however large it is itself.
        is_light = not connection.weight_bytes
        return (
            self._keeps is True
            and connection.origin == self.origin
            and len(connection.in_flight) < PIPELINE_MAX
            and (is_light or connection.weight_bytes + exchange.weight_bytes <= PIPELINE_BYTES_MAX)
        )

    def _open(self, origin: Origin) -> Connection:
        self._drop_idle_elsewhere(origin)
        tls = self._tls if origin == self.origin else self._tls_elsewhere
        connection = Connection(origin, open_socket(origin, tls, self._context))
        self._connections.append(connection)
        return connection

    def _drop_idle_elsewhere(self, origin: Origin) -> None:
        for connection in list(self._connections):
            if connection.origin not in (origin, self.origin) and not connection.in_flight:
                self._connections.remove(connection)
                connection.close()

    def _serve(self) -> None:
        waiting = select.poll()
        by_descriptor: dict[int, Connection] = {}
        timeout_s = _SLICE_S
        for connection in self._connections:
            events = select.POLLIN if connection.wants_to_receive else 0
            events |= select.POLLOUT if connection.wants_to_send else 0
            if events:
                descriptor = connection.socket.fileno()
                by_descriptor[descriptor] = connection
                waiting.register(descriptor, events)
            if connection.has_decrypted and connection.wants_to_receive:
                timeout_s = 0.0
        began = time.monotonic()
        ready = dict(waiting.poll(timeout_s * 1000))
        waited_s = time.monotonic() - began
        for descriptor, connection in by_descriptor.items():
            self._serve_one(connection, ready.get(descriptor, 0), waited_s)

    def _serve_one(self, connection: Connection, events: int, waited_s: float) -> None:
        if events & select.POLLOUT:
            connection.flush()
        progress = False
        if events & ~select.POLLOUT or connection.has_decrypted:
            progress = connection.receive()
        if progress:
            self._context.moved()
        if connection.in_flight and not progress and connection.wants_to_receive:
            connection.silent_s += waited_s
            if connection.silent_s > self._context.patience.idle_s and not connection.over:
                connection.failure = self._stalled(connection)
                connection.over = True
        if connection.keeps is not None and connection.origin == self.origin:
            self._keeps = connection.keeps or connection.served > 1
            if progress:
                self._answered_at = time.monotonic()
        if connection.over:
            self._retire(connection)

    def _stalled(self, connection: Connection) -> TransportError:
        error = Stalled(f"under 1 KiB came from the host in {self._context.patience.idle_s:g} s")
        answered_at = self._answered_at
        alive = answered_at is not None and answered_at > connection.asked_at
        if not connection.answering and not alive and connection.origin == self.origin:
            raise error  # nobody is there: that is more than one file's trouble
        return error

    def _retire(self, connection: Connection) -> None:
        """Closes a connection that is used up; what it left unanswered is asked again elsewhere."""
        self._connections.remove(connection)
        connection.close()
        left = list(connection.in_flight)
        failure = connection.failure
        if left and failure is not None:
            first = left[0]
            unanswered = isinstance(failure, ConnectionLost) and not connection.answering
            first.tries += unanswered and not connection.served
            used_up = first.tries >= TRIES_MAX
            if used_up and connection.origin == self.origin and self._answered_at is None:
                raise failure
            if used_up or not unanswered:
                left.pop(0).on_error(failure)
        for exchange in left:
            exchange.on_wire = False
        self._queue.extendleft(reversed(left))
