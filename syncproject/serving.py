"""gunicorn's worker of threads, in which a slow client holds no thread.

One loop reads requests as they come and hands a request to a thread when it is whole, and writes what a thread
left to be written. So a half-sent request costs a place among the connections, and no thread; so does an answer
that nobody reads, as far as it is short. What is long has bounds:

- a body over BODY_KEPT, or in chunks, is read by a thread, BODIES_AT_ONCE of them at a time, BODY_S long;
- an answer is written by its thread as long as more than UNSENT_MAX of it is left, at MIN_RATE or faster.

`/health` is answered by a thread of its own, also where all others are taken, and `/mcp` by MCP_THREADS that are none of
the others': agents that ask without end keep nobody from REST and console. Nor do they slow them down much: MCP_AT_WORK
are served at a time, and MCP_AT_WORK_BESIDE while others ask (`syncproject.turns`). Of the 54 others, downloads, streams and
calls to far ends may hold 24, 8 and 6 (`workspaces.places`), so that 16 are left for what is short.
"""

from __future__ import annotations

import contextlib
import errno
import re
import select
import selectors
import socket
import time
from collections import OrderedDict, deque
from concurrent import futures
from functools import partial
from typing import Any

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]  # it has no types
    TConn,
    ThreadWorker,
)

from syncproject.turns import RecentlyBegun, Turns

HEAD_S = 10.0  # for the whole head of a request, and a short body with it
HEAD_MAX = 64 * 1024
BODY_KEPT = 256 * 1024
BODY_S = 60.0
BODIES_AT_ONCE = 4
UNSENT_MAX = 256 * 1024
STALL_S = 20.0
MIN_RATE = 8 * 1024  # bytes a second
LINGER_S = 2.0  # for the rest of what a client still says, or its kernel throws our answer away
LINGER_BYTES = 256 * 1024
_HEALTH_THREADS = 2
# Four may hold a subscription, six a call to a far end (`workspaces.places`), two a body: four are left for what is short.
# The longest answer, a MiB of a file in base64, is left to the loop, for some slow readers at a time.
MCP_THREADS = 16
MCP_BODIES_AT_ONCE = 2
MCP_UNSENT_MAX = 2 << 20
MCP_LEAVING_MAX = 32
MCP_AT_WORK = 4
MCP_AT_WORK_BESIDE = 1  # while others ask
TURN_S = 0.1
_PIECE = 64 * 1024
_NOT_NOW = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_BY_PIECES = re.compile(rb"\r\n(?:transfer-encoding|expect):", re.IGNORECASE)
_HEALTH = re.compile(rb"(?:GET|HEAD) /health[? ]")
_MCP = re.compile(rb"POST /mcp[? ]")


def _gone(why: str) -> ConnectionResetError:
    """Ends as if the client had hung up, which gunicorn takes quietly."""
    return ConnectionResetError(errno.ECONNRESET, why)


class ClientSocket(socket.socket):
    """`sendall` keeps what a client does not take at once, up to `unsent_max`; whoever closes writes it first.
    `read_by` ends the reading of a body."""

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self.unsent = bytearray()
        self.unsent_max = UNSENT_MAX
        self.read_by = 0.0

    def recv(self, size: int, flags: int = 0) -> bytes:
        given_s = self.gettimeout()
        if given_s == 0.0:
            return super().recv(size, flags)
        left_s = max(0.001, self.read_by - time.monotonic())
        bound_s = left_s if given_s is None else min(left_s, given_s)
        self.settimeout(bound_s)
        try:
            return super().recv(size, flags)
        except TimeoutError:
            if given_s is not None and bound_s == given_s:
                raise
            raise _gone("the request took too long to come") from None
        finally:
            self.settimeout(given_s)

    def sendall(self, data: Any, flags: int = 0) -> None:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            self._send_or_keep(view[start : start + _PIECE])

    def _send_or_keep(self, piece: memoryview) -> None:
        if not self.unsent:
            piece = piece[self._send_some(piece) :]
        self.unsent += piece
        excess = len(self.unsent) - self.unsent_max
        deadline = time.monotonic() + STALL_S + max(0, excess) / MIN_RATE
        while len(self.unsent) > self.unsent_max:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise _gone("the answer is read too slowly")
            waiting = select.poll()
            waiting.register(self, select.POLLOUT)
            waiting.poll(left_s * 1000)
            self.send_unsent()

    def send_unsent(self) -> bool:
        """Whether nothing is left. Raises OSError where the client has gone."""
        while self.unsent:
            with memoryview(self.unsent) as view:
                sent = self._send_some(view)
            if not sent:
                return False
            del self.unsent[:sent]
        return True

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        file.seek(offset)
        left = count
        total = 0
        while left is None or left > 0:
            piece = file.read(_PIECE if left is None else min(_PIECE, left))
            if not piece:
                break
            self.sendall(piece)
            total += len(piece)
            left = None if left is None else left - len(piece)
        return total

    def _send_some(self, data: memoryview) -> int:
        try:
            return self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


class ClientConnection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """What has come of the next request, and whether it is whole."""

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any, worker: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.arrived = bytearray()
        self.until = 0.0  # the request is to be whole, or the answer to be taken
        self.has_body = False  # to be read by its thread
        self.is_polled = False  # for what it says
        self.is_mcp = False
        self._worker = worker

    @property
    def is_health(self) -> bool:
        return _HEALTH.match(self.arrived) is not None

    def is_ready(self) -> bool:
        """Whether a thread can take it. Sets `has_body` and `is_mcp`."""
        self.has_body = False
        end = self.arrived.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.arrived[: end + 2])
        self.is_mcp = _MCP.match(head) is not None
        length = _LENGTH.search(head)
        wanted = int(length[1]) if length else 0
        self.has_body = wanted > BODY_KEPT or _BY_PIECES.search(head) is not None
        return self.has_body or len(self.arrived) >= end + 4 + wanted

    def init(self) -> None:
        """Runs in the thread, before the request is parsed."""
        super().init()
        if self.arrived:
            self.parser.unreader.unread(bytes(self.arrived))
            self.arrived.clear()

    def close(self, graceful: bool = False) -> None:
        if graceful and self._worker.alive:
            self._worker.linger(self)
        else:
            self.sock.close()


class BodyTurns:
    """The long bodies of one kind of requests: `most` are read by threads at a time, the others wait."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.reading = 0
        self.waiting: deque[ClientConnection] = deque()


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    wsgi: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: OrderedDict[ClientConnection, None] = OrderedDict()
        self._turns = BodyTurns(BODIES_AT_ONCE)
        self._mcp_turns = BodyTurns(MCP_BODIES_AT_ONCE)
        self._others: RecentlyBegun[ClientConnection] = RecentlyBegun(TURN_S)
        self._agents = Turns(MCP_AT_WORK, MCP_AT_WORK_BESIDE, TURN_S, self._others)
        self._leaving: OrderedDict[ClientConnection, Any] = (
            OrderedDict()
        )  # what is still to be written, then done
        self._lingering: OrderedDict[ClientConnection, int] = OrderedDict()

    def init_process(self) -> None:
        self._health_pool = futures.ThreadPoolExecutor(_HEALTH_THREADS, "health")
        self._mcp_pool = futures.ThreadPoolExecutor(MCP_THREADS, "mcp")
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.wsgi = partial(_close_behind_unread, self.wsgi)

    # Requests come in.

    def accept(self, listener: socket.socket) -> None:
        try:
            accepted, address = listener.accept()
        except OSError as exc:
            if exc.errno not in _NOT_NOW:
                raise
            return
        if self.nr_conns >= self.worker_connections - 1 and self._arriving:
            self._drop(next(iter(self._arriving)))  # the slowest, so that others come in
        self.nr_conns += 1
        client = ClientSocket(accepted.detach())
        self._await(ClientConnection(self.cfg, client, address, listener.getsockname(), self))

    def on_client_socket_readable(self, conn: ClientConnection, client: Any) -> None:
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await(conn)

    def _await(self, conn: ClientConnection) -> None:
        """Most requests are here as a whole already, and go to a thread at once."""
        conn.sock.setblocking(False)
        conn.until = time.monotonic() + HEAD_S
        self._arriving[conn] = None
        if conn.arrived:
            self._look_at(conn)
        if conn in self._arriving:
            self._read(conn)
        if conn in self._arriving:
            conn.is_polled = True
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))

    def _read(self, conn: ClientConnection, client: Any = None) -> None:
        try:
            data = conn.sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
            return
        conn.arrived += data
        if len(conn.arrived) > HEAD_MAX and b"\r\n\r\n" not in conn.arrived:
            self._drop(conn, _TOO_LARGE)
            return
        self._look_at(conn)

    def _look_at(self, conn: ClientConnection) -> None:
        if not conn.is_ready():
            return
        self._stop_reading(conn)
        conn.sock.read_by = time.monotonic() + BODY_S
        turns = self._turns_of(conn)
        if not conn.has_body:
            self.enqueue_req(conn)
        elif turns.reading < turns.most:
            turns.reading += 1
            self.enqueue_req(conn)
        else:
            conn.until = conn.sock.read_by
            turns.waiting.append(conn)

    def _turns_of(self, conn: ClientConnection) -> BodyTurns:
        return self._mcp_turns if conn.is_mcp else self._turns

    def _stop_reading(self, conn: ClientConnection) -> None:
        self._arriving.pop(conn, None)
        if conn.is_polled:
            conn.is_polled = False
            self.poller.unregister(conn.sock)

    def enqueue_req(self, conn: ClientConnection) -> None:
        conn.data_ready = True
        may_keep_more = conn.is_mcp and len(self._leaving) < MCP_LEAVING_MAX
        conn.sock.unsent_max = MCP_UNSENT_MAX if may_keep_more else UNSENT_MAX
        if conn.is_mcp:
            self._agents.wait(conn)
            self._begin_next_agents()
        elif conn.is_health:
            self._begin(conn, self._health_pool)
        else:
            self._others.begin(conn)
            self._begin(conn, self.tpool)

    def _begin(self, conn: ClientConnection, pool: futures.Executor) -> None:
        served = pool.submit(self.handle, conn)
        served.add_done_callback(lambda done: self.method_queue.defer(self._served, conn, done))

    def _begin_next_agents(self) -> None:
        while (conn := self._agents.take_next()) is not None:
            self._begin(conn, self._mcp_pool)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Runs in the server's loop."""
        super().wait_for_and_dispatch_events(self._agents.wait_s(timeout))
        self._begin_next_agents()

    # Answers go out.

    def _served(self, conn: ClientConnection, done: Any) -> None:
        self._agents.end(conn)
        self._others.end(conn)
        self._begin_next_agents()
        if conn.has_body:
            conn.has_body = False
            self._turns_of(conn).reading -= 1
            self._read_next_body(self._turns_of(conn))
        conn.sock.setblocking(False)
        if self._is_sent(conn):
            self._finish(conn, done)
            return
        conn.until = time.monotonic() + STALL_S + len(conn.sock.unsent) / MIN_RATE
        self._leaving[conn] = done
        self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._write, conn))

    def _write(self, conn: ClientConnection, client: Any) -> None:
        if self._is_sent(conn):
            self.poller.unregister(client)
            self._finish(conn, self._leaving.pop(conn))

    def _is_sent(self, conn: ClientConnection) -> bool:
        try:
            return bool(conn.sock.send_unsent())
        except OSError:  # the client has gone: nothing is left to be done
            conn.sock.unsent.clear()
            return True

    def _finish(self, conn: ClientConnection, done: Any) -> None:
        """What came behind the request is the beginning of the next one."""
        if conn.parser is not None and self.alive and not done.cancelled() and not done.exception():
            conn.arrived += conn.parser.unreader.take_buffered()
            if conn.arrived and done.result():
                self._await(conn)
                return
        super().finish_request(conn, done)

    def _read_next_body(self, turns: BodyTurns) -> None:
        if turns.waiting:
            conn = turns.waiting.popleft()
            turns.reading += 1
            conn.sock.read_by = time.monotonic() + BODY_S
            self.enqueue_req(conn)

    # Connections end.

    def linger(self, conn: ClientConnection) -> None:
        """Ends our side, and takes what the client says until it ends its own; not in anybody's way."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        except (OSError, ValueError, KeyError):
            conn.sock.close()
            return
        conn.until = time.monotonic() + LINGER_S
        self._lingering[conn] = 0
        if len(self._lingering) > self.worker_connections:
            self._end_lingering(next(iter(self._lingering)))

    def _discard(self, conn: ClientConnection, client: Any) -> None:
        try:
            data = conn.sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._lingering[conn] += len(data)
        if not data or self._lingering[conn] > LINGER_BYTES:
            self._end_lingering(conn)

    def _end_lingering(self, conn: ClientConnection) -> None:
        del self._lingering[conn]
        self.poller.unregister(conn.sock)
        conn.sock.close()

    def _drop(self, conn: ClientConnection, answer: bytes = b"") -> None:
        self._stop_reading(conn)
        with contextlib.suppress(OSError):
            if answer:
                conn.sock.send(answer, socket.MSG_DONTWAIT)
        self.nr_conns -= 1
        conn.close(graceful=bool(answer))

    def murder_pending(self) -> None:
        """The server calls this each second, and when the worker ends."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [one for one in self._arriving if one.until < now or not self.alive]:
            self._drop(conn, _TOO_SLOW if conn.arrived else b"")
        for turns in (self._turns, self._mcp_turns):
            for conn in [one for one in turns.waiting if one.until < now]:
                turns.waiting.remove(conn)
                self._drop(conn, _BUSY)
        for conn in [one for one in self._leaving if one.until < now]:
            del self._leaving[conn]
            self.poller.unregister(conn.sock)
            self._drop(conn)
        for conn in [one for one in self._lingering if one.until < now or not self.alive]:
            self._end_lingering(conn)


def _close_behind_unread(application: Any, environ: dict[str, Any], start_response: Any) -> Any:
    """An answer that is begun before a long body was read to its end says that the connection ends: nobody waits for the
    rest. A short one has been read with the head."""
    # Taken before the application is asked, which may put another body into the environment.
    reader = environ["wsgi.input"].reader
    is_long = int(environ.get("CONTENT_LENGTH") or 0) > BODY_KEPT

    def start(status: str, headers: Any, exc_info: Any = None) -> Any:
        if (is_long and reader.length) or getattr(reader, "parser", None) is not None:
            start_response.__self__.force_close()
        return start_response(status, headers, exc_info)

    return application(environ, start)


_END = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _END
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + _END
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n" + _END
