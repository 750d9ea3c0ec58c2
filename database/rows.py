"""Rows of SQL statements by the names of their columns.

A statement's columns and a dataclass's fields are two lists that somebody edits at different times. Read by
position, a column that moved is a wrong value without a word. So a row becomes a dataclass by name, and a column
too many or too few is an error before the first row is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, Protocol, TypeVar

Row = TypeVar("Row")


class Cursor(Protocol):
    """What is used of Django's cursors and of psycopg's."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...
    @property
    def pgresult(self) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class ColumnsDiffer(Exception):
    """A statement's columns are not the fields of the dataclass that is made of them."""


def fetch_rows(cursor: Cursor, row_type: Callable[..., Row]) -> list[Row]:
    """Returns all rows that the statement still has.

    Each field of `row_type`, a dataclass, needs its column where it has no default, and may have one where it has.
    Raises ColumnsDiffer.
    """
    rows = cursor.fetchall()  # first: within a pipeline the columns come with the rows
    make = _find_maker(cursor, row_type)
    return [make(row) for row in rows]


def fetch_row(cursor: Cursor, row_type: Callable[..., Row]) -> Row | None:
    """The next one; None where there is none. Raises as `fetch_rows`."""
    row = cursor.fetchone()
    make = _find_maker(cursor, row_type)
    return None if row is None else make(row)


def fetch_split(
    cursor: Cursor, head: int, row_type: Callable[..., Row]
) -> tuple[Sequence[Any], Row] | None:
    """Like `fetch_row`, for a row whose first `head` columns are of something else, such as a model: these come as they
    are, and the others as a `row_type`."""
    row = cursor.fetchone()
    make = _find_maker(cursor, row_type, head)
    return None if row is None else (row[:head], make(row[head:]))


def fetch_splits(
    cursor: Cursor, head: int, row_type: Callable[..., Row]
) -> list[tuple[Sequence[Any], Row]]:
    """Like `fetch_split`, for all rows that the statement still has."""
    rows = cursor.fetchall()
    make = _find_maker(cursor, row_type, head)
    return [(row[:head], make(row[head:])) for row in rows]


_Maker = Callable[[Sequence[Any]], Any]
_makers: dict[tuple[Any, tuple[bytes, ...]], _Maker] = {}  # each statement is looked at once


def _find_maker(cursor: Cursor, row_type: Callable[..., Any], head: int = 0) -> _Maker:
    result = cursor.pgresult  # costs a tenth of `description`
    key = (row_type, tuple([result.fname(number) for number in range(head, result.nfields)]))
    if (known := _makers.get(key)) is None:
        known = _makers[key] = _check(row_type, [name.decode() for name in key[1]])
    return known


def _check(row_type: Any, names: Sequence[str]) -> _Maker:
    known = [field for field in fields(row_type) if field.init]
    needed = {field.name for field in known if field.default is field.default_factory is MISSING}
    missing = sorted(needed.difference(names))
    strange = sorted(set(names) - {field.name for field in known})
    if missing or strange or len(set(names)) < len(names):
        raise ColumnsDiffer(
            f"{row_type.__name__}: the statement gives {', '.join(names) or 'no columns'};"
            f" missing: {', '.join(missing) or 'none'}; unknown: {', '.join(strange) or 'none'}"
        )
    if names == [field.name for field in known[: len(names)]]:
        return lambda row: row_type(*row)
    return lambda row: row_type(**dict(zip(names, row, strict=True)))
