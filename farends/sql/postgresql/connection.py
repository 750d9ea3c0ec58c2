"""Connections to PostgreSQL that go where our dialer allows, end when the work ends, and notice silence.

libpq resolves no name here: it is told the judged address (`hostaddr`), and keeps the name for TLS. It reads nothing
of our machine's own: no service file, no password file, no key of the user's.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import time
from contextlib import closing
from pathlib import Path

from psycopg import pq
from psycopg.conninfo import make_conninfo

from farends.contract import Context
from farends.dialing import Dialer
from farends.errors import ConnectionStage, Stalled, TransportError, Unreachable
from farends.reaching import way_to
from farends.spec import Target
from farends.sql.options import SqlOptions
from farends.sql.postgresql.errors import map_refusal
from farends.sql.postgresql.relay import Relay
from farends.watched import WatchedConnection, poll_socket
from farends.wire.tls import trusting

_SSL_MODES = {"verify": "verify-full", "require": "require", "off": "disable"}
_NOWHERE = "/dev/null/none"  # a path where no file can be
# A host that is gone without a word is noticed by the kernel: also while a statement is at work in silence.
_KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_BUNDLES = (  # of the system's authorities; libpq takes one file
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class _Authority:
    """A file for libpq that holds an authority's certificate, and lies in memory."""

    def __init__(self, pem: str) -> None:
        self._fd = os.memfd_create("authority", os.MFD_CLOEXEC)
        os.write(self._fd, pem.encode())
        self.path = f"/proc/self/fd/{self._fd}"

    def close(self) -> None:
        os.close(self._fd)


def connect(target: Target, context: Context, *, name: str = "syncproject") -> WatchedConnection:
    """Connects and logs in, in autocommit. `name` is what the server's administrator sees. Close it.

    Raises TransportError's children, and what `context.check` raises.
    """
    options: SqlOptions = target.options
    way = way_to(target, context)
    with contextlib.ExitStack() as held:
        authority = _trust(options)
        if authority is not None:
            held.callback(authority.close)
        address, port, relay = _find_way(way.dialer, target, way.patience.connect_s)
        if relay is not None:
            held.callback(relay.close)
        conninfo = make_conninfo(
            "",
            host=target.host,
            hostaddr=address,
            port=port,
            dbname=options.database,
            user=options.username,
            password=target.secret.password,
            application_name=name,
            sslmode=_SSL_MODES[options.tls],
            sslrootcert=authority.path if authority is not None else _find_bundle(options),
            **_CLOSED,
            **_KEEPALIVE,
            **({} if options.tls != "off" else {"require_auth": "!password"}),
        )
        made = WatchedConnection(_log_in(conninfo, relay, way, options))
        held.pop_all()
    made.autocommit = True
    made.prepare_threshold = None  # a pooler between may change the session
    made.idle_s = way.patience.idle_s
    made.follow(way.check, way.moved)
    for own in (relay, authority):
        if own is not None:
            made.when_closed(own.close)
    made.can_cancel = relay is None  # a relay takes one connection
    return made


# What libpq would else take from its environment and from files in HOME.
_CLOSED = {
    "passfile": _NOWHERE,
    "sslcertmode": "disable",
    "sslcrl": _NOWHERE,
    "gssencmode": "disable",
    "client_encoding": "UTF8",
    "options": "",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
    "channel_binding": "prefer",
    "replication": "false",
}


def _trust(options: SqlOptions) -> _Authority | None:
    """Raises TlsRefused for what is no certificate."""
    if options.tls != "verify" or not options.ca_certificate:
        return None
    trusting(options.ca_certificate)
    return _Authority(options.ca_certificate)


def _find_bundle(options: SqlOptions) -> str:
    if options.tls != "verify":
        return _NOWHERE  # else a file in HOME would be held against the server
    told = ssl.get_default_verify_paths().cafile
    found = (path for path in (told, *_BUNDLES) if path and Path(path).is_file())
    return next(found, "system")


def _find_way(dialer: Dialer, target: Target, connect_s: float) -> tuple[str, int, Relay | None]:
    """The address and port for libpq. Of several addresses it is one that answers."""
    if dialer.proxy is not None:
        relay = Relay(dialer.dial(target.host, target.port, timeout_s=connect_s))
        return "127.0.0.1", relay.port, relay
    found = dialer.resolve(target.host, target.port, within_s=connect_s)
    if len(found) == 1:
        return str(found[0]), target.port, None
    with closing(dialer.dial(target.host, target.port, timeout_s=connect_s)) as answered:
        return str(answered.getpeername()[0]), target.port, None


def _log_in(conninfo: str, relay: Relay | None, way: Context, options: SqlOptions) -> pq.abc.PGconn:
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    try:
        if relay is not None and pgconn.status != pq.ConnStatus.BAD:
            with socket.socket(fileno=os.dup(pgconn.socket)) as ours:
                relay.start(ours.getsockname()[1])
        _poll_log_in(pgconn, way)
    except BaseException:
        pgconn.finish()
        raise
    pgconn.nonblocking = 1
    return pgconn


def _poll_log_in(pgconn: pq.abc.PGconn, way: Context) -> None:
    connected = False
    deadline = time.monotonic() + way.patience.connect_s
    wanted = pq.PollingStatus.WRITING  # libpq docs, PQconnectStart: before the first PQconnectPoll
    while True:
        if pgconn.status == pq.ConnStatus.BAD:
            raise _refusal(pgconn, connected=connected)
        # Each time anew: libpq may have dialled again.
        ready = poll_socket(
            select.poll(), pgconn.socket, 2 if wanted == pq.PollingStatus.WRITING else 1
        )
        way.check()
        if not ready:
            if time.monotonic() >= deadline:
                raise _late(connected=connected)
            continue
        wanted = pq.PollingStatus(pgconn.connect_poll())
        if not connected and pgconn.status not in (pq.ConnStatus.STARTED, pq.ConnStatus.BAD):
            connected = True
            deadline = time.monotonic() + way.patience.log_in_s
        if wanted == pq.PollingStatus.OK:
            return
        if wanted == pq.PollingStatus.FAILED:
            raise _refusal(pgconn, connected=connected)


def _late(*, connected: bool) -> TransportError:
    if connected:
        return Stalled("the server took too long to log in", stage=ConnectionStage.LOG_IN)
    return Unreachable("the server did not answer in time")


def _refusal(pgconn: pq.abc.PGconn, *, connected: bool) -> TransportError:
    return map_refusal(
        pgconn.get_error_message("utf-8"),
        connected=connected,
        showed_password=bool(pgconn.used_password),
    )
