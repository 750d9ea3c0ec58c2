"""Expires the oldest versions of a dataset, and clears what only they needed.

Expiring is one statement under the dataset's fence: from its commit on nobody can find the versions. What they alone
needed is cleared later, in small transactions that need no fence: whoever had found a version before has the time to read
it to its end. A process that dies leaves versions that are expired and not yet cleared, and the next one goes on.

No content is deleted here. The sweep removes what no entry names any more, by its own rules.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from database.quoting import quote_name
from database.rows import Cursor, fetch_rows
from datasets.models import Dataset, Table
from datasets.tables.place import HISTORY_SCHEMA

CLEARED_AT_ONCE = 5_000  # entries, or rows of a history

# Each content by the version that needed it no longer; not where the current version has it once more. What another
# dataset of the workspace names too stays all the same: that is not looked for.
_FREED_FILES = """
SELECT number, sum(size_bytes)::bigint AS size_bytes, count(*) AS count FROM (
    SELECT sha256, max(until) AS number, max(size_bytes) AS size_bytes FROM datasets_entry
     WHERE dataset_id = %(dataset)s AND until IS NOT NULL AND until > %(oldest)s GROUP BY sha256) ended
 WHERE NOT EXISTS (SELECT FROM datasets_entry e WHERE e.dataset_id = %(dataset)s AND e.sha256 = ended.sha256
                      AND e.until IS NULL)
 GROUP BY number
"""
# A version's images are as many as the rows that it changed. The first one of a table found none to keep.
_FREED_ROWS = """
WITH told AS (
    SELECT v.table_id, v.number, v.rows_added + v.rows_changed + v.rows_removed AS count,
           coalesce(pg_total_relation_size(to_regclass(quote_ident(%(history)s) || '.' || 'h_' || replace(t.id::text, '-', ''))),
                    0) AS history_bytes
      FROM datasets_table t JOIN datasets_tableversion v ON v.table_id = t.id
     WHERE t.dataset_id = %(dataset)s AND t.connector_id IS NULL AND v.number > %(oldest)s
       AND v.number > (SELECT min(f.number) FROM datasets_tableversion f WHERE f.table_id = t.id))
SELECT number, sum(history_bytes * count / nullif(whole, 0))::bigint AS size_bytes, sum(count)::bigint AS count
  FROM (SELECT *, sum(count) OVER (PARTITION BY table_id) AS whole FROM told) shared
 WHERE whole > 0 GROUP BY number
"""
_EXPIRE = """
UPDATE datasets_version SET expired_at = now()
 WHERE dataset_id = %s AND number < %s AND expired_at IS NULL AND NOT is_current
"""
_CLEARABLE = """
SELECT max(number) + 1 FROM datasets_version WHERE dataset_id = %s AND expired_at < %s
"""
_FIRST_ENDED = """
SELECT min(until) FROM datasets_entry WHERE dataset_id = %s AND until IS NOT NULL
"""
# Whoever publishes, goes back or deletes has this row, and the entries after it.
_HOLD = "SELECT FROM datasets_dataset WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED"
# All of a statement have ended with one version: an entry that goes on with the same content from there on is of none of
# these, and learns since when the path has it.
_CLEAR_ENTRIES = """
WITH gone AS (
    SELECT id, path, sha256, coalesce(arrived, since) AS arrived FROM datasets_entry
     WHERE dataset_id = %(dataset)s AND until = %(until)s LIMIT %(most)s FOR UPDATE),
told AS (
    UPDATE datasets_entry e SET arrived = gone.arrived FROM gone
     WHERE e.dataset_id = %(dataset)s AND e.path = gone.path AND e.since = %(until)s AND e.sha256 = gone.sha256)
DELETE FROM datasets_entry e USING gone WHERE e.id = gone.id
"""


@dataclass(frozen=True, slots=True)
class FreedBy:
    """What is needed no longer once all versions below `number` are gone: bytes, and contents or rows. Of rows the bytes
    are an estimate."""

    number: int
    size_bytes: int
    count: int


def measure_freed(dataset: Dataset, oldest: int) -> list[FreedBy]:
    """Reads what has ended since version `oldest`, the oldest that is kept."""
    told: dict[str, Any] = {"dataset": dataset.pk, "oldest": oldest, "history": HISTORY_SCHEMA}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        cursor.execute(_FREED_FILES, told)
        found = fetch_rows(cursor, FreedBy)
        cursor.execute(_FREED_ROWS, told)
        return found + fetch_rows(cursor, FreedBy)


def expire_versions(cursor: Cursor, dataset_id: uuid.UUID, oldest: int) -> None:
    """Nobody finds the versions below `oldest` from here on. The dataset's row is locked by the caller."""
    cursor.execute(_EXPIRE, [dataset_id, oldest])


def find_clearable(dataset_id: uuid.UUID, before: datetime) -> int:
    """What only versions below this number needed may be cleared: they had expired before that time. 0: nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_CLEARABLE, [dataset_id, before])
        row: tuple[int | None] = cursor.fetchone()
    return int(row[0] or 0)


def clear_entries(dataset_id: uuid.UUID, below: int) -> int:
    """Deletes the entries that have ended by version `below`, some at a time; their number. While somebody publishes, goes
    back or deletes, the rest stays for the next time."""
    cleared = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_HOLD, [dataset_id])
            if not cursor.fetchall():
                return cleared
            cursor.execute(_FIRST_ENDED, [dataset_id])
            [until] = cursor.fetchone()
            if until is None or until > below:
                return cleared
            told = {"dataset": dataset_id, "until": until, "most": CLEARED_AT_ONCE}
            cursor.execute(_CLEAR_ENTRIES, told)
            cleared += cursor.rowcount


def clear_history(cursor: Cursor, table: Table, below: int) -> int:
    """Deletes the images that only versions below that one needed, in the database where the table lies; their number. The
    session is in no transaction."""
    name = f"h_{table.pk.hex}"
    cursor.execute("SELECT to_regclass(%s)", [f"{HISTORY_SCHEMA}.{name}"])
    if cursor.fetchone() == (None,):
        return 0
    history = f"{quote_name(HISTORY_SCHEMA)}.{quote_name(name)}"
    cleared = 0
    while True:
        cursor.execute(
            f"WITH gone AS (DELETE FROM {history} WHERE ctid = ANY(ARRAY("  # noqa: S608 — made of names of ours
            f"SELECT ctid FROM {history} WHERE _version <= %(below)s LIMIT %(most)s)) RETURNING 1)"
            " SELECT count(*) FROM gone",
            {"below": below, "most": CLEARED_AT_ONCE},
        )
        count: int = cursor.fetchone()[0]
        cleared += count
        if count < CLEARED_AT_ONCE:
            return cleared


def note_cleared(table: Table, below: int) -> None:
    Table.objects.filter(pk=table.pk, cleared_to__lt=below).update(cleared_to=below)
