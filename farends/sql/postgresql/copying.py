"""COPY … TO STDOUT: rows as the bytes that PostgreSQL sends, cut into chunks."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.errors import error_from_result
from psycopg.waiting import Wait

from farends.errors import ProtocolViolation
from farends.rows.contract import CHUNK_BYTES, CHUNK_S, ROW_BYTES_MAX
from farends.watched import WatchedConnection

# PostgreSQL 18 docs, COPY, "Binary Format": signature, flags and the length of no extension; then the trailer.
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER_BYTES = len(_SIGNATURE) + 8
_TRAILER = b"\xff\xff"
_UNESCAPED = {
    b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v",
}  # fmt: skip


@dataclass(slots=True)
class CopiedRows:
    """Rows of one chunk, in order, and `too_large` ones, which are none of them. `is_last`: no others follow."""

    rows: list[bytes] = field(default_factory=list)
    too_large: list[bytes] = field(default_factory=list)
    last: bytes = b""  # of either
    is_last: bool = False


class CopyOut:
    """One COPY under way. Whoever stops before its end calls `stop`, and may go on with the session."""

    def __init__(
        self,
        connection: WatchedConnection,
        query: sql.Composable,
        *,
        binary: bool,
        take: Callable[[int], None] | None,
    ) -> None:
        """`take` is told how many bytes have come, and returns when more may come."""
        self._connection = connection
        self._binary = binary
        self._take = take
        form = sql.SQL("binary" if binary else "text")
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT {})").format(query, form)
        pgconn = connection.pgconn
        pgconn.send_query(statement.as_bytes(connection))
        result = connection.wait(_send_and_fetch(pgconn))
        if result is None or result.status != pq.ExecStatus.COPY_OUT:
            raise _error(result, connection)
        self._ended = False

    def batches(self) -> Iterator[CopiedRows]:
        pgconn, wait = self._connection.pgconn, self._connection.wait
        get, clock = pgconn.get_copy_data, time.monotonic
        batch, size, began = CopiedRows(), 0, clock()
        rows = batch.rows
        is_first = self._binary
        while True:
            count, data = get(1)
            if count > 0:
                row = bytes(data)
                if is_first:
                    row, is_first = _without_header(row), False
                rows.append(row)
                size += count
                if size < CHUNK_BYTES:
                    continue
            elif count == 0:
                if not size or clock() - began < CHUNK_S:
                    wait(_receive(pgconn))
                    continue
            else:
                break
            yield self._finish_batch(batch, size)
            batch, size, began = CopiedRows(), 0, clock()
            rows = batch.rows
        self._ended = True
        result = wait(_fetch_last(pgconn))
        if result is None or result.status != pq.ExecStatus.COMMAND_OK:
            raise _error(result, self._connection)
        batch.is_last = True
        yield self._finish_batch(batch, size)

    def _finish_batch(self, batch: CopiedRows, size: int) -> CopiedRows:
        if self._take is not None:
            self._take(size)
        rows = batch.rows
        if self._binary:
            while rows and rows[-1] in (_TRAILER, b""):
                rows.pop()
        elif rows and not rows[-1].endswith(b"\n"):
            raise ProtocolViolation("the server sent a part of a row alone")
        if rows:
            batch.last = rows[-1]
        if size >= ROW_BYTES_MAX:  # a chunk ends before, unless one row is as large
            batch.too_large = [row for row in rows if len(row) > ROW_BYTES_MAX]
            batch.rows = [row for row in rows if len(row) <= ROW_BYTES_MAX]
        return batch

    def stop(self) -> None:
        """Cancels what is left, and takes in what was on its way."""
        connection, pgconn = self._connection, self._connection.pgconn
        if self._ended or connection.closed:
            return
        self._ended = True
        try:
            connection.cancel_safe(timeout=5.0)
            while (count := pgconn.get_copy_data(1)[0]) >= 0:
                if count == 0:
                    connection.wait(_receive(pgconn))
            connection.wait(_fetch_last(pgconn))  # "canceling statement due to user request"
        except psycopg.Error:
            connection.abandon()


def print_values(
    connection: WatchedConnection, oids: Sequence[int], values: Sequence[bytes]
) -> list[str]:
    """The text of values in binary form, by the oids of their types."""
    asked = ", ".join(f"${place}::text" for place in range(1, len(oids) + 1))
    connection.pgconn.send_query_params(
        f"SELECT {asked}".encode(), values, param_types=oids, param_formats=[1] * len(oids)
    )
    result = connection.wait(_send_and_fetch(connection.pgconn))
    if result is None or result.status != pq.ExecStatus.TUPLES_OK:
        raise _error(result, connection)
    connection.wait(_fetch_last(connection.pgconn))
    return [(result.get_value(0, column) or b"").decode() for column in range(len(oids))]


def _without_header(row: bytes) -> bytes:
    if not row.startswith(_SIGNATURE):
        raise ProtocolViolation("the server sent no binary form of COPY")
    return row[_HEADER_BYTES:]


def _send_and_fetch(pgconn: pq.abc.PGconn) -> Generator[Any, Any, pq.abc.PGresult | None]:
    while pgconn.flush():
        while not (ready := (yield Wait.RW)):
            pass
        if ready & Wait.R:
            pgconn.consume_input()
    return (yield from _fetch(pgconn))


def _fetch(pgconn: pq.abc.PGconn) -> Generator[Any, Any, pq.abc.PGresult | None]:
    while pgconn.is_busy():
        yield from _receive(pgconn)
    return pgconn.get_result()


def _fetch_last(pgconn: pq.abc.PGconn) -> Generator[Any, Any, pq.abc.PGresult | None]:
    """The result of the statement, after which the session is idle."""
    last = result = yield from _fetch(pgconn)
    while result is not None:
        last, result = result, (yield from _fetch(pgconn))
    return last


def _receive(pgconn: pq.abc.PGconn) -> Generator[Any, Any, None]:
    while not (yield Wait.R):
        pass
    pgconn.consume_input()


def _error(result: pq.abc.PGresult | None, connection: WatchedConnection) -> psycopg.Error:
    if result is None or result.status != pq.ExecStatus.FATAL_ERROR:
        return psycopg.OperationalError(connection.pgconn.get_error_message("utf-8"))
    return error_from_result(result, encoding="utf-8")


def find_cells(row: bytes, places: Sequence[int], *, binary: bool) -> list[bytes | None]:
    """The cells at these places of a row: a value's text, or its binary form. None is NULL."""
    if binary:
        return _find_binary(row, places)
    cells = row[:-1].split(b"\t")
    return [None if cells[at] == b"\\N" else _unescape(cells[at]) for at in places]


def _find_binary(row: bytes, places: Sequence[int]) -> list[bytes | None]:
    cells: list[bytes | None] = []
    at = 2  # the count of fields
    for _ in range(max(places) + 1):
        (length,) = struct.unpack_from(">i", row, at)
        at += 4
        cells.append(None if length < 0 else row[at : at + length])
        at += max(length, 0)
    return [cells[place] for place in places]


def _unescape(cell: bytes) -> bytes:
    """COPY … TO writes no other escapes than these, and a backslash twice."""
    if b"\\" not in cell:
        return cell
    parts, at = [], 0
    while (found := cell.find(b"\\", at)) >= 0:
        sign = cell[found + 1 : found + 2]
        parts += [cell[at:found], _UNESCAPED.get(sign, sign)]
        at = found + 2
    return b"".join([*parts, cell[at:]])
