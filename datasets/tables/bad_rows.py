"""Rows of one table that could not be loaded, as they wait beside the staged ones for the quarantine."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from database.rows import fetch_rows
from datasets.tables.place import STAGING
from datasets.tables.row_copy import RowTarget, add_cells
from farends.names import printable
from farends.rows.contract import BadRow, Chunk
from farends.rows.copy_text import show_bytes

RAW_BYTES_MAX = 65_536

_ADD_BAD = f"""
COPY {STAGING}.bad_row (table_id, key, path, line, "column", code, message, raw, raw_complete, "values") FROM STDIN
"""
_READ_BAD = f"""
SELECT key, path, line, "column", code, message, raw, raw_complete, "values" FROM {STAGING}.bad_row
 WHERE table_id = %s
"""
FORGET_BAD = f"DELETE FROM {STAGING}.bad_row WHERE table_id = %s"


def add_bad_rows(
    cursor: psycopg.Cursor[Any],
    table_id: uuid.UUID,
    target: RowTarget,
    chunk: Chunk,
    bad: Sequence[BadRow],
) -> None:
    """Keeps them beside the staged rows, in the caller's transaction."""
    with cursor.copy(_ADD_BAD) as copy:
        copy.set_types(
            ["uuid", "jsonb", "text", "int8", "text", "text", "text", "bytea", "bool", "jsonb"]
        )
        for found in bad:
            row = add_cells(found, target, chunk.encoding)
            copy.write_row(
                (
                    table_id,
                    _cells(row.key),
                    row.path,
                    row.line,
                    None if row.column is None else printable(row.column),
                    row.code,
                    printable(row.message),
                    row.raw[:RAW_BYTES_MAX],
                    len(row.raw) <= RAW_BYTES_MAX,
                    _cells(row.values) if len(row.raw) <= RAW_BYTES_MAX else None,
                )
            )


@dataclass(frozen=True, slots=True)
class KeptBadRow:
    """A row that could not be loaded, as the quarantine keeps it."""

    key: dict[str, str | None] | None
    path: str | None
    line: int | None
    column: str | None
    code: str
    message: str
    raw: bytes
    raw_complete: bool
    values: dict[str, str | None] | None


def read_bad_rows(session: psycopg.Connection[Any], table_id: uuid.UUID) -> list[KeptBadRow]:
    """The rows of a table that could not be loaded."""
    with session.cursor() as cursor:
        cursor.execute(_READ_BAD, [table_id])
        return fetch_rows(cursor, KeptBadRow)


def forget_bad_rows(session: psycopg.Connection[Any], table_id: uuid.UUID) -> None:
    session.execute(FORGET_BAD, [table_id])


def _cells(cells: Any) -> Jsonb | None:
    if cells is None:
        return None
    return Jsonb(
        {
            name: None if text is None else show_bytes(text.encode(errors="surrogateescape"))
            for name, text in cells.items()
        }
    )
