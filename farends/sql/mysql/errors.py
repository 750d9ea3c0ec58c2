"""What MySQL, MariaDB and PyMySQL report, as errors of a far end: no error of PyMySQL leaves a source."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

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

# MariaDB Error Codes and MySQL 8.4 Error Reference; 2000 and above are the client's own.
_LEAVES: dict[int, type[TransportError]] = {
    1040: Throttled,  # too many connections
    1044: PermissionRefused,
    1045: AuthRefused,
    1049: RootMissing,  # unknown database
    1053: ConnectionLost,  # the server shuts down
    1054: Unstable,  # unknown column: they were looked up a moment ago
    1077: ConnectionLost,
    1129: Throttled,  # the host is blocked after too many errors
    1130: AuthRefused,  # the host may not connect
    1142: PermissionRefused,
    1143: PermissionRefused,
    1146: RootMissing,  # no such table
    1158: ConnectionLost,
    1159: Stalled,
    1160: ConnectionLost,
    1161: Stalled,
    1184: ConnectionLost,
    1203: Throttled,
    1205: Stalled,  # a lock
    1213: Unstable,  # a deadlock
    1226: Throttled,
    1227: PermissionRefused,
    1251: AuthRefused,
    1317: Stalled,  # somebody has killed the statement
    1356: PermissionRefused,  # a view that may not read its tables
    1412: Unstable,  # the definition changed under the snapshot
    1524: AuthRefused,
    1698: AuthRefused,
    1820: AuthRefused,  # the password must be changed
    1862: AuthRefused,
    1927: ConnectionLost,  # somebody has killed the connection
    1969: Stalled,  # max_statement_time
    2002: Unreachable,
    2003: Unreachable,
    2006: ConnectionLost,
    2013: ConnectionLost,
    2026: TlsRefused,
    2059: AuthRefused,
    2061: AuthRefused,
    3024: Stalled,  # max_execution_time
    3159: AuthRefused,  # the server takes only connections with TLS
}
PROCESS_NEEDED = 1227
_OF_THE_CLIENT = 2000


def number_of(exc: pymysql.Error) -> int:
    """The error's number; 0: it has none."""
    first = exc.args[0] if exc.args else 0
    return first if isinstance(first, int) else 0


def map_mysql_error(exc: pymysql.Error) -> TransportError:
    """The leaf for an error of PyMySQL. Words are told where they are the server's own and quote no row."""
    number = number_of(exc)
    leaf = _LEAVES.get(number)
    if leaf is None:
        return ProtocolViolation(f"the server reported error {number}")
    said = show(str(exc.args[1])) if len(exc.args) > 1 else ""
    return leaf(f"the server said: {said} ({number})" if number < _OF_THE_CLIENT else said or None)


@contextmanager
def mysql_mapped(stage: ConnectionStage | None = None) -> Iterator[None]:
    """Errors of PyMySQL leave here as errors of the far end. `stage` is where a log-in's errors belong that have no
    stage of their own."""
    try:
        yield
    except pymysql.Error as exc:
        error = map_mysql_error(exc)
        if stage is not None and error.stage in (ConnectionStage.LIST, ConnectionStage.READ):
            error.stage = stage
        raise error from exc
    except (struct.error, IndexError, UnicodeError, AssertionError) as exc:  # of its packets
        raise ProtocolViolation("no MySQL or MariaDB server answers there", stage=stage) from exc
