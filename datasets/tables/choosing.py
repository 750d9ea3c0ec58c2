"""Rows of a version that fulfil conditions on their columns, in an order that somebody chose.

Names of columns are those of the table, and values are parameters: nothing of a caller's text is part of a statement.
PostgreSQL reads each value as the type of the column that it is compared with.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import django.db
import psycopg
from psycopg.errors import QueryCanceled, UndefinedFunction

from database.quoting import quote_name
from database.rows import Cursor
from datasets.tables.as_of import (
    STEP_MAX,
    Cells,
    Key,
    KeyRange,
    find_bound,
    list_places,
    select_places,
    type_column,
    type_key,
)
from datasets.tables.columns import ColumnAt, TableAt

_CELL_MIN = 32  # characters


class CellComparison(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    LIKE = "like"
    IS_NULL = "is_null"


_OPERATORS = {
    CellComparison.EQ: "=",
    CellComparison.NE: "<>",
    CellComparison.LT: "<",
    CellComparison.LE: "<=",
    CellComparison.GT: ">",
    CellComparison.GE: ">=",
}


@dataclass(frozen=True, slots=True)
class RowCondition:
    """`values` are texts: one, several for `in`, none for `is_null`. `negated` is of `is_null` alone."""

    column: ColumnAt
    comparison: CellComparison
    values: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class SortColumn:
    column: ColumnAt
    descending: bool = False


@dataclass(frozen=True, slots=True)
class RowChoice:
    """Which columns are shown of which rows. Without an order: by key."""

    shown: tuple[ColumnAt, ...]
    conditions: tuple[RowCondition, ...] = ()
    orders: tuple[SortColumn, ...] = ()

    @property
    def judged(self) -> tuple[ColumnAt, ...]:
        """The columns that conditions and the order look at."""
        return (
            *[condition.column for condition in self.conditions],
            *[order.column for order in self.orders],
        )


@dataclass(frozen=True, slots=True)
class RowPlace:
    """Where a list goes on: behind a key, or, in a chosen order, behind so many rows."""

    key: Key | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """`places[n]` is the place behind row n."""

    rows: list[Cells]
    places: list[RowPlace]
    has_more: bool


class NoSuchValue(ValueError):
    """A value is none of its column's type."""


class NotComparable(ValueError):
    """The type of a column has no such comparison, or no order."""


class TookTooLong(Exception):
    """The database was asked for longer than one may wait."""


def choose_rows(
    cursor: Cursor,
    table: TableAt,
    choice: RowChoice,
    *,
    after: RowPlace | None,
    limit: int,
    row_characters: int,
    longest_s: float,
) -> ChosenRows:
    """The rows behind a place. Cells of a row that has more than `row_characters` are cut, and end in `…`. Within a moment
    whose statements take `longest_s` at most. Raises NoSuchValue, NotComparable, TookTooLong."""
    if not table.is_there:
        return ChosenRows([], [], has_more=False)
    after = after or RowPlace()
    cell_max = max(_CELL_MIN, row_characters // len(choice.shown))
    found: list[Any] = []
    ends_at = time.monotonic() + longest_s
    for wanted in _iter_ranges(cursor, table, choice, after.key, limit + 1):
        statement = _select_chosen(table, choice, wanted, cell_max)
        parameters = {**wanted.parameters, **_parameters_of(choice)}
        last = f" OFFSET {after.offset} LIMIT {limit + 1 - len(found)}"
        found += _ask(cursor, statement + last, parameters)
        if len(found) > limit:
            break
        if time.monotonic() > ends_at:
            raise TookTooLong(f"longer than {longest_s:g} s")
    return _page_of(found, choice, after, limit, cell_max)


def _page_of(
    found: list[Any], choice: RowChoice, after: RowPlace, limit: int, cell_max: int
) -> ChosenRows:
    shown = len(choice.shown)
    kept = found[:limit]
    places = [
        RowPlace(offset=after.offset + at + 1) if choice.orders else RowPlace(tuple(row[shown:]))
        for at, row in enumerate(kept)
    ]
    rows = [tuple(_cut(cell, cell_max) for cell in row[:shown]) for row in kept]
    return ChosenRows(rows, places, has_more=len(found) > limit)


def _iter_ranges(
    cursor: Cursor, table: TableAt, choice: RowChoice, after: Key | None, step: int
) -> Iterator[KeyRange]:
    """What is looked at by one statement each. A table that has moved is walked along its key, so that none of them sorts
    all of it; in another order there is no way around that."""
    while table.has_moved and not choice.orders:
        bound = find_bound(cursor, table, after, step)
        if bound is None:
            break
        yield KeyRange(after, bound)
        after, step = bound, min(step * 2, STEP_MAX)
    yield KeyRange(after)


def _select_chosen(table: TableAt, choice: RowChoice, wanted: KeyRange, cell_max: int) -> str:
    columns = list(dict.fromkeys([*choice.shown, *choice.judged]))
    places = select_places(
        table,
        wanted,
        live=_list_values(table, columns, "r"),
        image=_list_values(table, columns, "i", images=True),
    )
    if any(column.retyped for column in choice.judged):
        # Values that are none of the version must not be read as the version's type: they are left out first.
        places = f"SELECT * FROM ({places}) all_rows OFFSET 0"
    name_of = {column: f"rows_of.c{at}" for at, column in enumerate(columns)}
    cells = [f"left({name_of[column]}::text, {cell_max + 1})" for column in choice.shown]
    keys = [f"rows_of.k{at}::text" for at in range(len(table.key))]
    conditions = [
        _write_condition(condition, name_of[condition.column], f"value{at}")
        for at, condition in enumerate(choice.conditions)
    ]
    orders = [
        f"{name_of[order.column]} {'DESC' if order.descending else 'ASC'}"
        for order in choice.orders
    ]
    return (
        f"SELECT {', '.join(cells + keys)} FROM ({places}) rows_of WHERE {' AND '.join(conditions) or 'true'}"
        f" ORDER BY {', '.join([*orders, list_places(table, 'rows_of.')])}"
    )


def _list_values(
    table: TableAt, columns: Sequence[ColumnAt], alias: str, *, images: bool = False
) -> str:
    values = [
        f"{_type_value(table, column, alias, images=images)} AS c{at}"
        for at, column in enumerate(columns)
    ]
    return ", ".join([type_key(table, alias), *values])


def _type_value(table: TableAt, column: ColumnAt, alias: str, *, images: bool) -> str:
    """Images hold texts, and both places must have one type. A column that nothing changed since it came is in no image."""
    if not table.has_moved:
        return type_column(column, alias)
    is_held = not images or column.name in {*table.imaged, *table.key}
    value = f"{alias}.{quote_name(column.name)}" if is_held else "NULL"
    return f"CAST({value} AS {column.type})"


def _write_condition(condition: RowCondition, value: str, name: str) -> str:
    given = [f"%({name}_{at})s" for at in range(len(condition.values))]
    match condition.comparison:
        case CellComparison.IS_NULL:
            return f"{value} IS {'NOT ' if condition.negated else ''}NULL"
        case CellComparison.IN:
            return f"{value} IN ({', '.join(given)})" if given else "false"
        case CellComparison.LIKE:
            return f"{value}::text LIKE {given[0]}"
        case comparison:
            return f"{value} {_OPERATORS[comparison]} {given[0]}"


def _parameters_of(choice: RowChoice) -> dict[str, str]:
    return {
        f"value{at}_{number}": value
        for at, condition in enumerate(choice.conditions)
        for number, value in enumerate(condition.values)
    }


def _ask(cursor: Cursor, statement: str, parameters: dict[str, str]) -> list[Any]:
    """Raises NoSuchValue, NotComparable, TookTooLong."""
    try:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
    except (django.db.DataError, psycopg.DataError) as exc:
        raise NoSuchValue("a value is none of its column's type") from exc
    except (django.db.ProgrammingError, psycopg.ProgrammingError) as exc:
        if isinstance(exc, UndefinedFunction) or isinstance(exc.__cause__, UndefinedFunction):
            raise NotComparable("the type of a column has no such comparison or order") from exc
        raise
    except (django.db.OperationalError, psycopg.OperationalError) as exc:
        if isinstance(exc, QueryCanceled) or isinstance(exc.__cause__, QueryCanceled):
            raise TookTooLong("the statement was ended") from exc
        raise


def _cut(cell: str | None, most: int) -> str | None:
    return cell if cell is None or len(cell) <= most else f"{cell[:most]}…"
