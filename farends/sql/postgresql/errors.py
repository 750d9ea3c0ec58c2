"""What PostgreSQL and psycopg report, as errors of a far end.

The rule of this border: no error of psycopg leaves a source. Who is above takes one for the product's own database
being away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from farends.errors import (
    AuthRefused,
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TlsRefused,
    TransportError,
    Unreachable,
    Unstable,
)
from farends.wire.far_text import show

# By SQLSTATE, or by its class of two characters (PostgreSQL 18 docs, Appendix A).
_LEAVES: dict[str, type[TransportError]] = {
    "08": ConnectionLost,
    "08P01": ProtocolViolation,
    "25P02": ConnectionLost,  # the transaction had failed before
    "25P03": ConnectionLost,  # the server ended a transaction that waited
    "25P04": Stalled,  # transaction_timeout
    "25006": PermissionRefused,  # what is read wants to write
    "28": AuthRefused,
    "3D": RootMissing,
    "3F": RootMissing,
    "40": Unstable,  # also where a standby needs the row versions gone
    "42P01": RootMissing,
    "42501": PermissionRefused,
    "42703": Unstable,  # the columns were looked up a moment ago
    "53": Throttled,
    "54": ProtocolViolation,
    "55P03": Stalled,  # somebody holds a lock
    "55006": Stalled,
    "55000": Unreachable,  # "not currently accepting connections"
    "57": ConnectionLost,
    "57014": Stalled,  # statement_timeout, or its operator
    "57P03": Unreachable,
    "57P04": RootMissing,
    "58": Unstable,
    "HV": ConnectionLost,  # the server behind a foreign table
    "HV00R": RootMissing,  # fdw_table_not_found
}
# Classes whose messages are the server's own words. Others may quote a value of a row.
_TOLD = frozenset(
    {"08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX"}
)


def map_error(exc: psycopg.Error) -> TransportError:
    """Returns the leaf for an error of a session that was logged in."""
    state = exc.sqlstate
    if state is None:
        lost = isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError)
        words = show(str(exc))
        return ConnectionLost(words) if lost else ProtocolViolation(words)
    leaf = _LEAVES.get(state) or _LEAVES.get(state[:2]) or ProtocolViolation
    return leaf(_tell(exc, state))


def _tell(exc: psycopg.Error, state: str) -> str:
    said = exc.diag.message_primary
    if state[:2] in _TOLD and said:
        return f"the server said: {show(said)} ({state})"
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(exc).__name__).lower()
    return f"the server reported {name} ({state})"


@contextmanager
def mapped() -> Iterator[None]:
    """Errors of psycopg leave here as errors of the far end."""
    try:
        yield
    except psycopg.Error as exc:
        raise map_error(exc) from exc


# A refused log-in has no SQLSTATE in libpq: these are the words of PostgreSQL, PgBouncer and libpq, in order.
_LOG_IN_WORDS: tuple[tuple[str, type[TransportError]], ...] = (
    (r"database .* does not exist|no such database", RootMissing),
    (r"permission denied for database", PermissionRefused),
    (
        r"too many (clients|connections)|connection slots are reserved|no more connections",
        Throttled,
    ),
    (r"starting up|shutting down|recovery mode|not (yet|currently) accepting|pause", Unreachable),
    (
        r"authentication|password|no pg_hba\.conf|role .* (does not exist|is not permitted)|not allowed|ident",
        AuthRefused,
    ),
)
_NO_TLS = "server does not support SSL"  # libpq's words
_LIBPQ_WORDS: tuple[tuple[str, type[TransportError]], ...] = (
    (r"requirement .* failed|no password supplied|authentication method", AuthRefused),
    (
        r"invalid response to SSL negotiation|expected authentication|unexpected message",
        ProtocolViolation,
    ),
    (r"server closed the connection|EOF detected|reset by peer|Broken pipe", ConnectionLost),
    (r"certificate|\bSSL\b|\bTLS\b", TlsRefused),
)


def map_refusal(said: str, *, connected: bool, showed_password: bool) -> TransportError:
    """What libpq says of a connection that did not come about. `connected`: somebody took the connection.
    `showed_password`: the log-in had come that far."""
    words = re.sub(r"\Aconnection to server at .*? failed: ", "", said, flags=re.DOTALL).strip()
    told = show(re.sub(r"\AFATAL:\s*", "", words).partition("\n")[0])
    if not connected:
        return Unreachable(told)
    for pattern, leaf in _LOG_IN_WORDS if words.startswith("FATAL:") else _LIBPQ_WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return _at_log_in(leaf(told))
    if words.startswith("FATAL:") and showed_password:  # in a language of the server's own
        return AuthRefused(told)
    return _at_log_in(ConnectionLost(told))


def does_without_tls(error: TlsRefused) -> bool:
    """Whether it says that the server speaks no TLS at all."""
    return _NO_TLS in str(error)


def _at_log_in(error: TransportError) -> TransportError:
    if error.stage in (ConnectionStage.LIST, ConnectionStage.READ):
        error.stage = ConnectionStage.LOG_IN
    return error
