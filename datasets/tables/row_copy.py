"""Takes a chunk's rows into a table by COPY, and sets those apart that the table cannot hold.

The usual chunk is one COPY. Where it fails, PostgreSQL's error names the line: the rows before it are good, the row
itself is set apart, and what follows is tried in pieces whose size follows how often rows fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from farends.rows.contract import ROW_BYTES_MAX, BadRow, Chunk, Encoding
from farends.rows.copy_text import decode_cells
from farends.rows.packed import join_rows

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_OPTIONS = {
    Encoding.TEXT: "FORMAT text",
    Encoding.BINARY: "FORMAT binary",
    Encoding.CSV: "FORMAT csv",
}
_WHERE = re.compile(r"^COPY .*?, line (?P<line>\d+)(?:, column (?P<column>.*?)(?:: .*)?)?$", re.M)
_LEAST = 16  # rows of a piece
# What is wrong with a row, and not with the table, the session or the disk.
_OF_ROW = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.InvalidTextRepresentation,
)


@dataclass(frozen=True, slots=True)
class RowTarget:
    """A table that takes rows: `columns` are its names in the order of a row's cells, `source_names` what the source
    calls them, `key` some of the latter."""

    table: sql.Composable
    columns: tuple[str, ...]
    source_names: tuple[str, ...]
    key: tuple[str, ...]


def copy_rows(cursor: psycopg.Cursor[Any], target: RowTarget, chunk: Chunk) -> None:
    """Takes all rows, or raises what PostgreSQL says of the first that it cannot hold."""
    _copy(cursor, target, chunk, chunk.rows)


def copy_good_rows(
    cursor: psycopg.Cursor[Any],
    target: RowTarget,
    chunk: Chunk,
    *,
    check: Callable[[], None] = lambda: None,
) -> list[BadRow]:
    """Takes the rows that the table holds, within the caller's transaction, and returns the others."""
    rows, bad = chunk.rows, list[BadRow]()
    first, size = 0, max(len(rows) // 4, _LEAST)
    while first < len(rows):
        check()
        piece = rows[first : first + size]
        failed = _try(cursor, target, chunk, piece)
        if failed is None:
            first += len(piece)
            size *= 2
            continue
        at = failed[0]
        if at is None and len(piece) > 1:  # PostgreSQL names no line: halve until the row is alone
            size = len(piece) // 2
            continue
        at = at or 0
        if at > 0 and _try(cursor, target, chunk, piece[:at]) is not None:  # it is among these
            size = at
            continue
        told = _try(cursor, target, chunk, piece[at : at + 1]) if at > 0 else failed
        if told is not None:
            bad.append(_tell(target, chunk, first + at, told[1]))
        first += at + 1
        size = max(2 * at, _LEAST)
    return bad


def _try(
    cursor: psycopg.Cursor[Any], target: RowTarget, chunk: Chunk, rows: Sequence[bytes]
) -> tuple[int | None, psycopg.Error] | None:
    try:
        with cursor.connection.transaction():
            _copy(cursor, target, chunk, rows)
    except _OF_ROW as exc:
        return _find_row(exc, chunk, rows), exc
    return None


def _copy(
    cursor: psycopg.Cursor[Any], target: RowTarget, chunk: Chunk, rows: Sequence[bytes]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(
        target.table,
        sql.SQL(", ").join(map(sql.Identifier, target.columns)),
        sql.SQL(_OPTIONS[chunk.encoding]),
    )
    with cursor.copy(statement) as copy:
        if chunk.encoding is Encoding.BINARY:
            copy.write(_HEADER)
        copy.write(join_rows(rows))
        if chunk.encoding is Encoding.BINARY:
            copy.write(_TRAILER)


def _find_row(error: psycopg.Error, chunk: Chunk, rows: Sequence[bytes]) -> int | None:
    """The index of the row that PostgreSQL complains of; None where it does not say."""
    found = _WHERE.search(error.diag.context or "")
    if found is None:
        return None
    line = int(found["line"])
    if chunk.encoding is not Encoding.CSV:
        return line - 1 if line <= len(rows) else None
    # A cell of CSV may hold line ends. PostgreSQL counts those that are like the first row's own, from there on.
    lines, sign = 0, b"\r" if rows[0].endswith(b"\r\n") else b"\n"
    for index, row in enumerate(rows):
        lines += 1 + (row.rstrip(b"\r\n").count(sign) if index else 0)
        if line <= lines:
            return index
    return None


def _tell(target: RowTarget, chunk: Chunk, index: int, error: psycopg.Error) -> BadRow:
    row = chunk.rows[index]
    found = _WHERE.search(error.diag.context or "")
    column = (found and found["column"]) or error.diag.column_name
    named = dict(zip(target.columns, target.source_names, strict=True))
    path, line = chunk.places[index] if chunk.places else (None, None)
    told = BadRow(
        code=name_code(error),
        message=error.diag.message_primary or "PostgreSQL does not take it",
        column=named.get(column or "", column),
        path=path,
        line=line,
        raw=row,
    )
    return add_cells(told, target, chunk.encoding)


def name_code(error: psycopg.Error) -> str:
    """The quarantine's word for what PostgreSQL says of a row."""
    state = error.sqlstate or ""
    if state in ("22021", "22P05"):
        return "encoding"
    if state == "22P04":
        return "columns"
    if state.startswith("54") or state == "22001":
        return "too_large" if state.startswith("54") else "value"
    return "constraint" if state.startswith("23") else "value"


def add_cells(bad: BadRow, target: RowTarget, encoding: Encoding) -> BadRow:
    """The bad row with its key and its values, as far as they can be told apart."""
    if bad.values is not None or len(bad.raw) > ROW_BYTES_MAX:
        return bad
    cells = decode_cells(bad.raw, encoding)
    if cells is None or len(cells) < len(target.source_names):
        return bad
    values = dict(zip(target.source_names, cells, strict=False))
    key = bad.key or {name: values[name] for name in target.key if name in values} or None
    return replace(bad, values=values, key=key)
