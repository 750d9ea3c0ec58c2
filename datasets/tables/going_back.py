"""Publishes what a dataset's tables held at an older version as the next one: rows, columns and mark. The caller owns the
transaction, holds the dataset's row, and has taken a fencing token.

The rows go back in the database that they lie in (`restore_table`), versions, columns and marks at home (`write_restored`).

With the mark of then the next incremental sync brings what has changed at the source since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
from django.db import DataError, IntegrityError, connection
from django.db.models import Sum

from datasets.models import Table, TableColumn, TableVersion, Version
from datasets.tables.columns import ColumnAt, TableAt, describe_table, see_table
from datasets.tables.moments import print_alike
from datasets.tables.restoring import Restored, restore_rows
from datasets.tables.staging import forget_staged
from datasets.versions import Published


class CannotGoBack(Exception):
    """The tables cannot hold what they held then; the message says why."""


_REFUSALS = (IntegrityError, DataError, psycopg.IntegrityError, psycopg.DataError)


def write_rollback_of_tables(dataset_id: UUID, *, current: int, target: int, by: str) -> Published:
    """Publishes what version `target` of tables of the home database holds once more, in one version for all tables. `number`
    is None where `current` holds the same, and then nothing was written. Raises CannotGoBack, TableGone."""
    number = current + 1
    restored: dict[UUID, Restored] = {}
    with connection.cursor() as own:
        cursor: Any = own  # psycopg's, but for its errors
        print_alike(cursor)
        for table in find_later_tables(dataset_id, target):
            told = restore_table(cursor, table, target, number)
            if told is not None:
                restored[table.pk] = told
    if not restored:
        return Published(None)
    made = write_restored(dataset_id, restored, number=number, target=target, by=by)
    return Published(number, made.rows_added or 0, made.rows_changed or 0, made.rows_removed or 0)


def find_later_tables(dataset_id: UUID, target: int) -> list[Table]:
    """The tables that versions after `target` have changed."""
    return list(Table.objects.filter(dataset=dataset_id, version__gt=target).order_by("name"))


def restore_table(cursor: Any, table: Table, target: int, number: int) -> Restored | None:
    """Brings the rows back, within a transaction of the database that they lie in. None where neither they nor the columns
    differ. Raises CannotGoBack, TableGone."""
    seen = see_table(cursor, table, target)
    try:
        restored = restore_rows(cursor, seen, number)
    except _REFUSALS as exc:
        raise CannotGoBack(f"{table.name} does not take a row of then: {_first_line(exc)}") from exc
    forget_staged(cursor, seen.place)  # it goes on from a later state
    ended, begun = _plan_columns(table, seen, number)
    return restored if restored.differs or ended or begun else None


def find_state_of_then(table: Table, target: int) -> tuple[dict[str, Any] | None, int]:
    """The table's mark and count of rows at version `target`."""
    then = table.versions.filter(number__lte=target).order_by("-number").first()
    return (then.mark, then.rows) if then else (None, 0)


def write_restored(
    dataset_id: UUID, restored: Mapping[UUID, Restored], *, number: int, target: int, by: str
) -> Version:
    """Makes what was brought back the current version, within a transaction of the home database that holds the dataset's
    row."""
    tables = Table.objects.filter(dataset=dataset_id, pk__in=restored).order_by("name")
    changed = [_write_table(table, restored[table.pk], target, number) for table in tables]
    return _add_version(dataset_id, changed, number=number, target=target, by=by)


def _write_table(table: Table, restored: Restored, target: int, number: int) -> TableVersion:
    ended, begun = _plan_columns(table, describe_table(table, target), number)
    table.columns.filter(pk__in=ended).update(until=number, withdrawn=True)
    TableColumn.objects.bulk_create(begun)
    mark, rows = find_state_of_then(table, target)
    Table.objects.filter(pk=table.pk).update(version=number, rows=rows, mark=mark)
    return TableVersion.objects.create(
        table=table,
        number=number,
        rows=rows,
        rows_added=restored.added,
        rows_changed=restored.changed,
        rows_removed=restored.removed,
        mark=mark,
    )


def _plan_columns(table: Table, seen: TableAt, number: int) -> tuple[list[Any], list[TableColumn]]:
    """Columns that came later are withdrawn; those that the source had then are current again."""
    current = {column.name: column for column in table.columns.filter(until=None)}
    wanted = {
        column.name: _describe(column, current.get(column.name))
        for column in seen.columns
        if column.source_name and (column.until is None or column.until > seen.number)
    }
    ended = [
        column.pk
        for name, column in current.items()
        if name not in wanted or wanted[name] != _describe(column)
    ]
    begun = [
        TableColumn(table=table, name=name, since=number, **told)
        for name, told in wanted.items()
        if name not in current or told != _describe(current[name])
    ]
    return ended, begun


def _describe(
    column: ColumnAt | TableColumn, today: TableColumn | None = None
) -> dict[str, str | bool | int]:
    """A column of the key keeps its type of today: the history has keys of later rows."""
    names = ("position", "source_name", "source_type", "type", "nullable", "in_key")
    told = {name: getattr(column, name) for name in names}
    if today is not None and told["in_key"]:
        told |= {"type": today.type, "source_type": today.source_type}
    return told


def _add_version(
    dataset_id: UUID, changed: list[TableVersion], *, number: int, target: int, by: str
) -> Version:
    versions = Version.objects.filter(dataset=dataset_id)
    # It may have expired since the rows went back in another database.
    then = Version.either.get(dataset=dataset_id, number=target)
    versions.filter(is_current=True).update(is_current=False)
    tables = Table.objects.filter(dataset=dataset_id).exclude(version=None)
    return Version.objects.create(
        dataset_id=dataset_id,
        number=number,
        restores=target,
        restored_by=by,
        file_count=0,
        size_bytes=then.size_bytes,
        rows=tables.aggregate(total=Sum("rows"))["total"] or 0,
        rows_added=sum(each.rows_added for each in changed),
        rows_changed=sum(each.rows_changed for each in changed),
        rows_removed=sum(each.rows_removed for each in changed),
        tables_changed=[each.table.name for each in changed],
        mark=changed[0].mark if len(changed) == 1 else None,
    )


def _first_line(exc: Exception) -> str:
    """The rest may quote a row."""
    return str(exc).splitlines()[0]
