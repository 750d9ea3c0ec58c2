"""Writes the rows that could not be loaded into the quarantine, in the transaction that publishes the others."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from datasets.models import Table
from datasets.tables.bad_rows import KeptBadRow
from datasets.tables.place import STAGING

_MOVE = f"""
INSERT INTO syncjobs_quarantinedrow (record_id, state, "table", key, path, line, "column", code, message, raw,
    raw_complete, "values")
SELECT %(record)s, 'open', %(name)s, key, path, line, "column", code, message, raw, raw_complete, "values"
  FROM {STAGING}.bad_row WHERE table_id = %(table)s
"""  # noqa: S608 — a constant

_ADD = """
COPY syncjobs_quarantinedrow (record_id, state, "table", key, path, line, "column", code, message, raw, raw_complete,
    "values") FROM STDIN
"""


def move_to_quarantine(cursor: psycopg.Cursor[Any], record_id: uuid.UUID, table: Table) -> None:
    """The staging forgets them in the same transaction."""
    cursor.execute(_MOVE, {"record": record_id, "name": table.name, "table": table.pk})


def add_to_quarantine(
    cursor: psycopg.Cursor[Any], record_id: uuid.UUID, table: str, rows: Sequence[KeptBadRow]
) -> None:
    """Rows that were kept in another database."""
    with cursor.copy(_ADD) as copy:
        copy.set_types(
            [
                "uuid",
                "text",
                "text",
                "jsonb",
                "text",
                "int8",
                "text",
                "text",
                "text",
                "bytea",
                "bool",
                "jsonb",
            ]
        )
        for row in rows:
            copy.write_row(
                (
                    record_id,
                    "open",
                    table,
                    _json(row.key),
                    row.path,
                    row.line,
                    row.column,
                    row.code,
                    row.message,
                    row.raw,
                    row.raw_complete,
                    _json(row.values),
                )
            )


def _json(cells: dict[str, str | None] | None) -> Jsonb | None:
    return None if cells is None else Jsonb(cells)
