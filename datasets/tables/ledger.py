"""What the home database says of tables: where each lies, its columns, its versions and its mark.

The functions that take a cursor write within a transaction that their caller owns, behind the dataset's fence.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import transaction
from psycopg.types.json import Jsonb

from database.rows import Cursor, fetch_rows
from datasets.models import Dataset, Table, TableColumn
from datasets.tables.place import TablePlace, name_schema
from datasets.versions import REVIVE
from farends.rows.names import make_names

_CURRENT = "SELECT coalesce(max(number), 0) FROM datasets_version WHERE dataset_id = %s"
_NO_LONGER = (
    "UPDATE datasets_version SET is_current = false WHERE dataset_id = %(dataset)s AND is_current"
)
_ADD_VERSION = """
INSERT INTO datasets_version (dataset_id, number, is_current, record_id, created_at, file_count, size_bytes,
    files_added, files_changed, files_removed, rows, rows_added, rows_changed, rows_removed, tables_changed, mark)
SELECT %(dataset)s, %(number)s, true, %(record)s, now(), 0, %(size_bytes)s, 0, 0, 0,
       (SELECT coalesce(sum(rows), 0) FROM datasets_table WHERE dataset_id = %(dataset)s AND version IS NOT NULL),
       %(added)s, %(changed)s, %(removed)s,
       ARRAY[(SELECT name FROM datasets_table WHERE id = %(table)s)], %(mark)s
"""
_ADD_TABLE_VERSION = """
INSERT INTO datasets_tableversion (table_id, number, rows, rows_added, rows_changed, rows_removed, mark)
VALUES (%(table)s, %(number)s, %(rows)s, %(added)s, %(changed)s, %(removed)s, %(mark)s)
"""
_SET_TABLE = """
UPDATE datasets_table SET version = %(number)s, rows = %(rows)s, mark = %(mark)s, key = %(key)s,
       keyless = %(keyless)s WHERE id = %(table)s
"""
_MOVE_MARK = "UPDATE datasets_table SET mark = %(mark)s WHERE id = %(table)s"
_END_COLUMN = "UPDATE datasets_tablecolumn SET until = %s WHERE id = %s"
_REFRESH_COLUMN = """
UPDATE datasets_tablecolumn SET position = %s, source_type = %s, nullable = %s, in_key = %s WHERE id = %s
"""
_ADD_COLUMN = """
INSERT INTO datasets_tablecolumn (table_id, position, source_name, name, source_type, type, nullable, in_key, since)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(to_regclass(quote_ident(schema) || '.' || quote_ident(relation)))), 0)::bigint
  FROM datasets_table WHERE dataset_id = %s AND connector_id IS NULL AND version IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class PublishedColumn:
    """A column as a version has it."""

    source_name: str
    name: str
    source_type: str
    type: str
    nullable: bool
    in_key: bool


@dataclass(frozen=True, slots=True)
class TableChange:
    """What a publication did to a table. `rows` counts what it holds now."""

    dataset_id: uuid.UUID
    table_id: uuid.UUID
    record_id: uuid.UUID
    number: int
    rows: int
    added: int
    changed: int
    removed: int
    key: tuple[str, ...]  # names of the relation
    keyless: bool
    columns: tuple[PublishedColumn, ...]
    mark: dict[str, Any] | None = field(default=None)


def ensure_table(
    dataset: Dataset,
    name: str,
    *,
    wanted: str,
    connector_id: uuid.UUID | None = None,
    schema: str | None = None,
) -> Table:
    """The dataset's table of this name, with a place of its own where it is new. `wanted` is what its relation is called
    where nobody else's is; `schema` None: the workspace's home schema."""
    with transaction.atomic():
        held = Dataset.either.select_for_update(no_key=True).select_related("workspace")
        dataset = held.get(pk=dataset.pk)
        known = {table.name: table for table in dataset.tables.all()}
        if name in known:
            return known[name]
        schema = schema or _find_home_schema(dataset)
        taken = Table.objects.filter(connector_id=connector_id, schema=schema)
        relation = make_names([wanted], taken.values_list("relation", flat=True))[wanted]
        return Table.objects.create(
            dataset=dataset, name=name, connector_id=connector_id, schema=schema, relation=relation
        )


def _find_home_schema(dataset: Dataset) -> str:
    """A renamed workspace keeps the schema that its first table got."""
    known = Table.objects.filter(dataset__workspace_id=dataset.workspace_id, connector_id=None)
    return known.values_list("schema", flat=True).first() or name_schema(
        dataset.workspace.name, dataset.workspace_id
    )


def get_place(table: Table) -> TablePlace:
    return TablePlace(table.pk, table.schema, table.relation)


def find_columns(table: Table) -> list[TableColumn]:
    """Each column of the relation that came from the source: as it is, or as it was when the source dropped it. The
    current ones come last."""
    latest: dict[str, TableColumn] = {}
    for column in TableColumn.objects.filter(table=table).order_by("since"):
        latest[column.name] = column
    return sorted(latest.values(), key=lambda one: (one.until is None, one.position))


def next_number(cursor: Cursor, dataset_id: uuid.UUID) -> int:
    cursor.execute(_CURRENT, [dataset_id])
    row: tuple[int] = cursor.fetchone()
    return row[0] + 1


def write_table_version(cursor: psycopg.Cursor[Any], change: TableChange) -> None:
    """Makes the change the dataset's current version."""
    parameters: dict[str, Any] = {
        "dataset": change.dataset_id,
        "table": change.table_id,
        "record": change.record_id,
        "number": change.number,
        "rows": change.rows,
        "added": change.added,
        "changed": change.changed,
        "removed": change.removed,
        "key": list(change.key),
        "keyless": change.keyless,
        "mark": _json(change.mark),
    }
    _write_columns(cursor, change)
    cursor.execute(_SET_TABLE, parameters)
    cursor.execute(_SIZE, [change.dataset_id])
    [parameters["size_bytes"]] = cursor.fetchone() or [0]
    cursor.execute(_NO_LONGER, parameters)
    if cursor.rowcount == 0:
        cursor.execute(REVIVE, parameters)
    cursor.execute(_ADD_VERSION, parameters)
    cursor.execute(_ADD_TABLE_VERSION, parameters)


def move_mark(
    cursor: psycopg.Cursor[Any], table_id: uuid.UUID, mark: dict[str, Any] | None
) -> None:
    """Nothing changed, and the next reading begins later."""
    cursor.execute(_MOVE_MARK, {"table": table_id, "mark": _json(mark)})


@dataclass(frozen=True, slots=True)
class _Current:
    id: int
    name: str
    type: str


def _write_columns(cursor: psycopg.Cursor[Any], change: TableChange) -> None:
    cursor.execute(
        "SELECT id, name, type FROM datasets_tablecolumn WHERE table_id = %s AND until IS NULL",
        [change.table_id],
    )
    current = {column.name: column for column in fetch_rows(cursor, _Current)}
    wanted = {column.name: column for column in change.columns}
    for name, held in current.items():
        if name not in wanted or wanted[name].type != held.type:
            cursor.execute(_END_COLUMN, [change.number, held.id])
    for position, column in enumerate(change.columns):
        known = current.get(column.name)
        if known is not None and known.type == column.type:
            cursor.execute(
                _REFRESH_COLUMN,
                [position, column.source_type, column.nullable, column.in_key, known.id],
            )
        else:
            cursor.execute(
                _ADD_COLUMN,
                [
                    change.table_id,
                    position,
                    column.source_name,
                    column.name,
                    column.source_type,
                    column.type,
                    column.nullable,
                    column.in_key,
                    change.number,
                ],
            )


def _json(value: dict[str, Any] | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)
