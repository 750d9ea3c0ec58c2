"""Writes the rows that could not be loaded into the quarantine, in the transaction that publishes the others."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from datasets.models import Table
from datasets.tables.place import STAGING

_MOVE = f"""
INSERT INTO syncjobs_quarantinedrow (record_id, state, "table", key, path, line, "column", code, message, raw,
    raw_complete, "values")
SELECT %(record)s, 'open', %(name)s, key, path, line, "column", code, message, raw, raw_complete, "values"
  FROM {STAGING}.bad_row WHERE table_id = %(table)s
"""  # noqa: S608 — a constant


def move_to_quarantine(cursor: psycopg.Cursor[Any], record_id: uuid.UUID, table: Table) -> None:
    """The staging forgets them in the same transaction."""
    cursor.execute(_MOVE, {"record": record_id, "name": table.name, "table": table.pk})
