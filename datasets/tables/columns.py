"""Which tables and columns a version has, and how the rows of a version are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import Max, Min, OuterRef, Subquery

from database.rows import Cursor, fetch_rows
from datasets.models import Table, TableColumn, TableVersion
from datasets.tables.place import DELETED_AT, HISTORY_SCHEMA, TablePlace


class TableGone(Exception):
    """Somebody has dropped the table."""


@dataclass(frozen=True, slots=True)
class ColumnAt:
    """A column as a version has it. `until` is the version from which the source no longer has it; the table keeps
    it. `retyped`: some version has it with another type, so that its cells are asked for in this one."""

    position: int
    name: str
    source_name: str
    type: str
    source_type: str
    nullable: bool
    in_key: bool
    since: int
    until: int | None
    retyped: bool


@dataclass(frozen=True, slots=True)
class TableAt:
    """A table at a version of its dataset. `first` is the version that published it first; before that it was empty.
    `latest` is the one that changed it last, of all versions. Without columns it is not there at this version."""

    table_id: UUID
    name: str
    connector_id: UUID | None
    schema: str
    relation: str
    key: tuple[str, ...]
    number: int
    first: int
    latest: int
    columns: tuple[ColumnAt, ...]
    # What only the database that the table lies in knows; see `see_table`.
    imaged: frozenset[str] = frozenset()  # columns of images; without any there is no history
    held: Mapping[str, str] = field(default_factory=dict)  # types of all columns that we may fill

    @property
    def is_there(self) -> bool:
        return self.number >= self.first

    @property
    def has_moved(self) -> bool:
        """Whether later versions may have changed it. What another database holds may be newer than what is known here."""
        return bool(self.imaged) and (self.latest > self.number or self.connector_id is not None)

    @property
    def place(self) -> TablePlace:
        return TablePlace(self.table_id, self.schema, self.relation)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def describe_table(table: Table, number: int) -> TableAt:
    """The table as the version has it, as far as the home database knows. Its rows are not read by that: see `see_table`."""
    return _describe(table, number, _list_columns(table))


def _list_columns(table: Table) -> list[Any]:
    """All columns of all versions, and with each the first and the latest version that told of the table: whoever looks
    for rows must know these of the same moment."""
    versions = TableVersion.objects.filter(table=OuterRef("table")).order_by().values("table")
    return list(
        table.columns.order_by("since").annotate(
            first=Subquery(versions.annotate(at=Min("number")).values("at")),
            latest=Subquery(versions.annotate(at=Max("number")).values("at")),
        )
    )


def _describe(table: Table, number: int, known: Sequence[Any]) -> TableAt:
    first = known[0].first if known else None
    return TableAt(
        table_id=table.pk,
        name=table.name,
        connector_id=table.connector_id,
        schema=table.schema,
        relation=table.relation,
        key=tuple(table.key),
        number=number,
        first=number + 1 if first is None else first,
        latest=0 if first is None else known[0].latest,
        columns=_columns_at(known, number),
    )


# The database's own word on the columns of a table and of its history.
_FOUND = """
SELECT n.nspname = %(history)s AS is_image, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE (n.nspname, c.relname) IN ((%(schema)s, %(relation)s), (%(history)s, %(images)s))
   AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


@dataclass(frozen=True, slots=True)
class _Found:
    is_image: bool
    name: str
    type: str


def see_table(cursor: Cursor, table: Table, number: int) -> TableAt:
    """The table as the version has it. The cursor is of the database where it lies: that one knows which columns the
    product added, such as the place of a row in its file, and which columns images have. Raises TableGone."""
    [seen] = _see(cursor, table, number)
    return seen


def see_twice(cursor: Cursor, table: Table, before: int, after: int) -> tuple[TableAt, TableAt]:
    """The table as two versions have it. Raises TableGone."""
    one, other = _see(cursor, table, before, after)
    return one, other


def _see(cursor: Cursor, table: Table, *numbers: int) -> list[TableAt]:
    known = _list_columns(table)
    parameters = {
        "schema": table.schema,
        "relation": table.relation,
        "history": HISTORY_SCHEMA,
        "images": f"h_{table.pk.hex}",
    }
    cursor.execute(_FOUND, parameters)
    found = fetch_rows(cursor, _Found)
    if all(one.is_image for one in found):
        raise TableGone(f"there is no table {table.schema}.{table.relation} any more")
    told = {*table.key, DELETED_AT, *[column.name for column in known]}
    imaged = frozenset(one.name for one in found if one.is_image)
    held = {one.name: one.type for one in found if not one.is_image and one.name in told}
    return [
        _add_found(_describe(table, number, known), imaged=imaged, held=held) for number in numbers
    ]


def _add_found(table: TableAt, *, imaged: frozenset[str], held: Mapping[str, str]) -> TableAt:
    own = [
        _own_column(table, name, type_)
        for name, type_ in held.items()
        if name in {*table.key, DELETED_AT} and name not in table.names
    ]
    columns = (
        *[column for column in own if column.in_key],
        *table.columns,
        *[column for column in own if not column.in_key],
    )
    return replace(table, columns=columns, imaged=imaged, held=held)


def _own_column(table: TableAt, name: str, type_: str) -> ColumnAt:
    in_key = name in table.key
    return ColumnAt(
        position=0,
        name=name,
        source_name="",
        type=type_,
        source_type="",
        nullable=not in_key,
        in_key=in_key,
        since=table.first,
        until=None,
        retyped=False,
    )


def _columns_at(known: Sequence[TableColumn], number: int) -> tuple[ColumnAt, ...]:
    """A column that the source no longer has stays one of the table. One that came after the state that a person went back
    to does not."""
    types: dict[str, set[str]] = {}
    held: dict[str, TableColumn] = {}
    for column in known:
        types.setdefault(column.name, set()).add(column.type)
        if column.since <= number:
            held[column.name] = column
    return tuple(
        ColumnAt(
            column.position,
            column.name,
            column.source_name,
            column.type,
            column.source_type,
            column.nullable,
            column.in_key,
            column.since,
            column.until,
            retyped=len(types[column.name]) > 1,
        )
        for column in sorted(held.values(), key=attrgetter("position"))
        if not column.withdrawn or column.until is None or column.until > number
    )
