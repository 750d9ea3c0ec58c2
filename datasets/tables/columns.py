"""Which tables and columns a version has, and how the rows of a version are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from uuid import UUID

from django.db.models import Min

from database.rows import Cursor, fetch_rows
from datasets.models import Dataset, Table, TableColumn, Version
from datasets.tables.place import DELETED_AT, HISTORY_SCHEMA


class TableGone(Exception):
    """Somebody has dropped the table."""


@dataclass(frozen=True, slots=True)
class ColumnAt:
    """A column as a version has it. `until` is the version from which the source no longer has it; the table keeps
    it. `retyped`: some version has it with another type, so that its cells are asked for in this one."""

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
    imaged: frozenset[str] = (
        frozenset()
    )  # columns that images have; without any there is no history

    @property
    def is_there(self) -> bool:
        return self.number >= self.first

    @property
    def has_moved(self) -> bool:
        """Whether later versions may have changed it. What another database holds may be newer than what is known here."""
        return bool(self.imaged) and (self.latest > self.number or self.connector_id is not None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def published_tables(dataset: Dataset) -> list[Table]:
    """The tables of which some version tells, by name."""
    return list(dataset.tables.exclude(version=None).order_by("name"))


def describe_table(table: Table, number: int) -> TableAt:
    """The table as the version has it, as far as the home database knows. Its rows are not read by that: see `see_table`."""
    first = table.versions.aggregate(at=Min("number"))["at"]
    return TableAt(
        table_id=table.pk,
        name=table.name,
        connector_id=table.connector_id,
        schema=table.schema,
        relation=table.relation,
        key=tuple(table.key),
        number=number,
        first=number + 1 if first is None else first,
        latest=table.version or 0,
        columns=_columns_at(table, number),
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
    described = describe_table(table, number)
    parameters = {
        "schema": table.schema,
        "relation": table.relation,
        "history": HISTORY_SCHEMA,
        "images": f"h_{table.pk.hex}",
    }
    cursor.execute(_FOUND, parameters)
    found = fetch_rows(cursor, _Found)
    rows = [one for one in found if not one.is_image]
    if not rows:
        raise TableGone(f"there is no table {table.schema}.{table.relation} any more")
    known = {column.name for column in described.columns}
    ours = [
        _own_column(described, one)
        for one in rows
        if one.name not in known and (one.name in table.key or one.name == DELETED_AT)
    ]
    return replace(
        described,
        columns=(
            *[column for column in ours if column.in_key],
            *described.columns,
            *[column for column in ours if not column.in_key],
        ),
        imaged=frozenset(one.name for one in found if one.is_image),
    )


def _own_column(table: TableAt, found: _Found) -> ColumnAt:
    in_key = found.name in table.key
    return ColumnAt(
        name=found.name,
        source_name="",
        type=found.type,
        source_type="",
        nullable=not in_key,
        in_key=in_key,
        since=table.first,
        until=None,
        retyped=False,
    )


def _columns_at(table: Table, number: int) -> tuple[ColumnAt, ...]:
    """A column that the source no longer has stays one of the table. One that ended because a person went back to a
    time before it does not."""
    known = list(table.columns.order_by("position", "since"))
    ends = {column.until for column in known if column.until is not None}
    rollbacks = set(
        Version.objects.filter(dataset=table.dataset_id, number__in=ends)
        .exclude(restores=None)
        .values_list("number", flat=True)
    )
    types: dict[str, set[str]] = {}
    held: dict[str, TableColumn] = {}
    for column in known:
        types.setdefault(column.name, set()).add(column.type)
        if column.since <= number:
            held[column.name] = column
    return tuple(
        ColumnAt(
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
        if column.until is None
        or column.until > number
        or column.until not in rollbacks
        or column.since == column.until
    )
