"""Sessions with MySQL and MariaDB over a socket that our dialer opened, which end when the work ends.

PyMySQL logs in and runs small questions. Rows are read past it, because it makes Python objects of each cell: a
statement here gives one column, which is the whole row in the text form of COPY, made by the server.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.constants import COMMAND

from farends.contract import Context, Patience
from farends.errors import AuthRefused, ConnectionStage, ProtocolViolation, Stalled, TransportError
from farends.reaching import way_to
from farends.rows.contract import ROW_BYTES_MAX
from farends.spec import Target
from farends.sql.mysql.errors import mysql_mapped
from farends.sql.mysql.packets import PACKET_MAX, open_value, split_rows
from farends.sql.options import SqlOptions
from farends.watched import poll_socket
from farends.web.opening import secure_socket
from farends.wire.tls import trusting, trusting_anybody

_RECEIVE_BYTES = 256 * 1024
_KILL_S = 1.0
_READ, _WRITE = 1, 2
_ERROR = 255
_REVEALING = (b"mysql_clear_password", b"dialog", b"mysql_old_password")
# Whatever the server's or the user's settings are, text means the same, and no limit cuts a long reading short.
_SETTINGS = "SET SESSION sql_mode = '', time_zone = '+00:00', net_write_timeout = 86400, net_read_timeout = 3600"
_LIMITS = ("max_statement_time", "max_execution_time")  # of MariaDB; of MySQL


class MysqlSession(Connection):
    """A session whose every wait looks several times a second whether the work is over, and ends as Stalled after
    the patience's silence. Errors are PyMySQL's, for whoever uses it to map."""

    def __init__(self, target: Target, way: Context) -> None:
        options: SqlOptions = target.options
        self._way = way
        self._tls = None if options.tls == "off" else _trust(options)
        self._deadline: float | None = None  # of the log-in
        super().__init__(
            host=target.host,
            port=target.port,
            user=options.username,
            password=target.secret.password,
            database=options.database,
            charset="utf8mb4",
            autocommit=True,
            defer_connect=True,
            read_default_file=None,
            ssl=self._tls,
            ssl_disabled=self._tls is None,
            program_name="syncproject",
            max_allowed_packet=ROW_BYTES_MAX,
        )

    def log_in(self) -> None:
        """Dials and logs in. Raises TransportError's children, and errors of PyMySQL."""
        patience = self._way.patience
        connected = self._way.dialer.dial(self.host, self.port, timeout_s=patience.connect_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._deadline = time.monotonic() + patience.log_in_s
        try:
            self._own.connect(_Blind(connected))
        except BaseException:
            connected.close()
            raise
        self._deadline = None

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """A question with a small answer."""
        with self.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def stream(self, query: str) -> Iterator[list[bytes | None]]:
        """The first column of each row, as it comes, in lists. None: the value was NULL. A row over ROW_BYTES_MAX is
        empty bytes. Who leaves before the end closes the session."""
        self._own._execute_command(COMMAND.COM_QUERY, query)
        head = self._own._read_packet()
        if head.is_ok_packet():
            return
        for _ in range(head.read_length_encoded_integer() + 1):  # the columns, and the end of them
            self._own._read_packet()
        whole = False
        try:
            yield from self._stream_rows()
            whole = True
        finally:
            if not whole:
                self.abandon()

    def _stream_rows(self) -> Iterator[list[bytes | None]]:
        data = b""
        while True:
            split = split_rows(data)
            if split.rows:
                yield split.rows
            if split.ending is not None:
                if split.ending[0] == _ERROR:
                    pymysql.err.raise_mysql_exception(split.ending)
                return
            if split.is_long and len(split.rest) >= 4:
                row, data = self._read_long(split.rest)
                yield [row]
            else:
                data = split.rest + self._receive_some(split.need - len(split.rest))

    def _read_long(self, data: bytes) -> tuple[bytes, bytes]:
        """A row of several packets (MySQL docs, "Sending More Than 16MB"), and what came after it."""
        kept, size_bytes = [], 0
        while True:
            data = self._fill(data, 4)
            size = int.from_bytes(data[:3], "little")
            data = self._fill(data, 4 + size)
            size_bytes += size
            if size_bytes <= ROW_BYTES_MAX:
                kept.append(data[4 : 4 + size])
            data = data[4 + size :]
            if size < PACKET_MAX:
                break
        if size_bytes > ROW_BYTES_MAX:
            return b"", data
        return open_value(b"".join(kept)), data

    def _fill(self, data: bytes, least: int) -> bytes:
        return data if len(data) >= least else data + self._receive_some(least - len(data))

    def _receive_some(self, least: int) -> bytes:
        """At least so many bytes. Asks whether to go on here too: a server that is faster than we never lets us wait."""
        self._way.check()
        pieces = [self._receive(max(least, _RECEIVE_BYTES))]
        count = len(pieces[0])
        while count < least:
            pieces.append(self._receive(least - count))
            count += len(pieces[-1])
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def _receive(self, most: int) -> bytes:
        quiet_since = time.monotonic()
        while True:
            try:
                data: bytes = self._line.recv(most)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(_READ, quiet_since)
            except ssl.SSLWantWriteError:
                self._wait(_WRITE, quiet_since)
            except OSError as exc:
                raise pymysql.err.OperationalError(2013, f"the connection failed: {exc}") from exc
            else:
                if not data:
                    raise pymysql.err.OperationalError(2013, "the server ended the connection")
                self._way.moved()
                return data

    def _read_bytes(self, num_bytes: int) -> bytes:
        """Not a byte more: what follows may be another's to read, such as TLS."""
        pieces, left = [], num_bytes
        while left:
            pieces.append(self._receive(left))
            left -= len(pieces[-1])
        return b"".join(pieces)

    def _write_bytes(self, data: bytes) -> None:
        left, quiet_since = memoryview(data), time.monotonic()
        while left:
            try:
                left = left[self._line.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(_WRITE, quiet_since)
            except ssl.SSLWantReadError:
                self._wait(_READ, quiet_since)
            except OSError as exc:
                raise pymysql.err.OperationalError(2006, f"the connection failed: {exc}") from exc

    def _wait(self, wanted: int, quiet_since: float) -> None:
        poll_socket(select.poll(), self._line.fileno(), wanted)
        self._way.check()
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise Stalled("the server took too long to log in", stage=ConnectionStage.LOG_IN)
        if now - quiet_since >= self._way.patience.idle_s:
            raise Stalled(f"the server was silent for {self._way.patience.idle_s:g} s")

    @property
    def _line(self) -> Any:
        if self._own._sock is None:
            raise pymysql.err.InterfaceError(2006, "the session is closed")
        return self._own._sock

    @property
    def _own(self) -> Any:
        """Ourselves, with the names that PyMySQL does not promise: tests/sql/test_mysql_names.py."""
        return self

    @property
    def server_version_text(self) -> str:
        return str(self._own.get_server_info())

    @property
    def thread(self) -> int:
        """The server's number of this session."""
        return int(self._own.thread_id())

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        return self  # as far as PyMySQL asks: `wrap_socket`

    def wrap_socket(self, plain: _Blind, server_hostname: str) -> _Blind:
        if self._tls is None:
            raise ProtocolViolation("TLS was not asked for")
        return _Blind(secure_socket(plain.connected, self._tls, server_hostname, self._way))

    def _process_auth(self, plugin_name: Any, auth_packet: Any, handler: Any = None) -> Any:
        """A server may ask for any way to log in; one that shows the password is for TLS that was verified."""
        if plugin_name in _REVEALING and not (self._tls and self._tls.check_hostname):
            raise AuthRefused(
                f"the server asks for the log-in {plugin_name.decode()}, which shows the password:"
                " it needs tls: verify"
            )
        parent: Any = super()
        return parent._process_auth(plugin_name, auth_packet, handler)

    def abandon(self) -> None:
        """Closes at once. A statement at work would else go on until it next writes."""
        self._own._force_close()


class _Blind:
    """A socket as PyMySQL sees it: it sets no time-out and reads no file."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.connected = connected
        self.recv, self.send, self.fileno = connected.recv, connected.send, connected.fileno
        self.close = connected.close

    def settimeout(self, timeout_s: float | None) -> None:
        """The session keeps its own clocks."""

    def makefile(self, mode: str) -> _Blind:
        return self


def connect_mysql(target: Target, context: Context) -> MysqlSession:
    """Connects and logs in, in autocommit. Raises TransportError's children, and what `context.check` raises."""
    session = MysqlSession(target, way_to(target, context))
    with mysql_mapped(ConnectionStage.LOG_IN):
        session.log_in()
        try:
            session.ask(_SETTINGS)
            for name in _LIMITS:
                with contextlib.suppress(pymysql.Error):
                    session.ask(f"SET SESSION {name} = 0")
        except BaseException:
            session.abandon()
            raise
    return session


def kill_statement(target: Target, context: Context, thread_id: int) -> None:
    """Asks the server, by a second session, to end what that thread is at. Best effort, and short."""
    hurried = replace(context, check=lambda: None, patience=Patience(_KILL_S, _KILL_S, _KILL_S))
    with contextlib.suppress(TransportError, pymysql.Error):
        session = connect_mysql(target, hurried)
        with contextlib.closing(session):
            session.ask(f"KILL QUERY {int(thread_id)}")


def _trust(options: SqlOptions) -> ssl.SSLContext:
    return trusting(options.ca_certificate) if options.tls == "verify" else trusting_anybody()
