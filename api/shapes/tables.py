"""Tables of a dataset, their rows, and which rows differ between two versions, as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from api.shapes.answers import Told
from datasets.diffs import EntryChange
from datasets.models import Table
from datasets.tables.as_of import Cells, Key
from datasets.tables.changes import RowChange, TwoTables
from datasets.tables.columns import TableAt

CELLS = "By column. Each value is the text that PostgreSQL prints for it; null is NULL."
TableRow = dict[str, str | None]


class TableOut(TypedDict):  # a model has no field `schema`
    """Where a table of a dataset lies."""

    name: Annotated[str, Field(description="What it is called in its schema.")]
    schema: Annotated[str, Field(description="Of the database.")]
    entity: Annotated[str, Field(description="What its source calls it.")]
    connector: Annotated[str | None, Field(description="Whose database; none: the product's own.")]


class TableColumnOut(Told):
    name: str = Field(description="In the table.")
    source_name: str = Field(description="As the source calls it. Empty: the product's own.")
    type: str
    source_type: str
    nullable: bool
    in_key: bool
    since: int = Field(description="The version in which it came to be as it is.")
    until: int | None = Field(
        description="The version from which the source no longer has it. The table keeps it."
    )


class TableSchemaOut(Told):
    version: int
    table: TableOut
    key: list[str]
    columns: list[TableColumnOut]


class TableRowPage(Told):
    items: list[TableRow] = Field(description=CELLS)
    next: str | None
    version: int = Field(description="The version that these rows are of.")


class RowChangeOut(Told):
    change: EntryChange
    table: str
    key: dict[str, str]
    before: TableRow | None = Field(description=f"As the version `from` holds it. {CELLS}")
    after: TableRow | None = Field(description=f"As the version `to` holds it. {CELLS}")


class RowChangePage(Told):
    items: list[RowChangeOut]
    next: str | None


def tell_table(table: Any) -> TableOut:
    """`table` as `described_tables` gives it."""
    return TableOut(
        name=table.relation,
        schema=table.schema,
        entity=table.name,
        connector=table.connector_name,
    )


def tell_schema(table: Table, seen: TableAt) -> dict[str, Any]:
    plain = list(TableColumnOut.model_fields)
    return {
        "version": seen.number,
        "table": tell_table(table),
        "key": list(seen.key),
        "columns": [{name: getattr(column, name) for name in plain} for column in seen.columns],
    }


def tell_row(table: TableAt, cells: Cells) -> TableRow:
    return dict(zip(table.names, cells, strict=True))


def tell_row_change(tables: TwoTables, each: RowChange) -> dict[str, Any]:
    return {
        "change": each.change,
        "table": tables.after.name,
        "key": tell_key(tables.after, each.key),
        "before": None if each.before is None else tell_row(tables.before, each.before),
        "after": None if each.after is None else tell_row(tables.after, each.after),
    }


def tell_key(table: TableAt, key: Key) -> dict[str, str]:
    return dict(zip(table.key, key, strict=True))
