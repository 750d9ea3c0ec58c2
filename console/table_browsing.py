"""The tables of one version, a page at a time: rows, columns, and which rows differ from another version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DataError

from datasets.models import Dataset, Table, Version
from datasets.reading import NoSuchVersion, get_version
from datasets.tables.as_of import Cells, Key, page_of_rows
from datasets.tables.columns import TableAt, TableGone, see_table
from datasets.tables.keys import InvalidKey
from syncjobs.queries.datasets import described_tables
from syncjobs.queries.tables import (
    ChangedRow,
    NoSuchTable,
    SeveralTables,
    TableAway,
    TableKey,
    choose_table,
    list_changed_rows,
    moment_of_table,
)

PAGE = 50
CELL_MAX = 200  # characters that are shown of a cell
ROWS, COLUMNS, CHANGES = "rows", "columns", "changes"
VIEWS = (ROWS, COLUMNS, CHANGES)


@dataclass(frozen=True, slots=True)
class ShownCell:
    """`text` of None is NULL. `was` is what an older version holds, where the two differ."""

    column: str
    text: str | None
    was: str | None = None


@dataclass(frozen=True, slots=True)
class ShownChange:
    """`cells` are those that differ, or all of a row that is on one side only."""

    change: str
    table: str
    key: str
    cells: list[ShownCell]


def show_tables(dataset: Dataset, version: Version, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs. `asked` are the words of the address: `view`, `table`, `against`, `after`."""
    view = asked["view"]
    shown: dict[str, Any] = {
        "tables": list(described_tables().filter(dataset=dataset)),
        "views": VIEWS,
        "view": view if view in VIEWS else ROWS,
        "against": version.number - 1,
    }
    try:
        if shown["view"] == CHANGES:
            return shown | _show_changes(dataset, version, asked)
        table = choose_table(dataset, version.number, asked["table"] or None)
        return shown | {"table": table} | _show_table(table, version.number, asked)
    except NoSuchTable:
        trouble = "This version has no such table."
    except SeveralTables:
        trouble = "Choose one of the tables."
    except (TableAway, TableGone, NoSuchVersion) as exc:
        trouble = f"This cannot be shown: {exc}."
    except (DataError, InvalidKey):
        trouble = "This list has no such page."
    return shown | {"trouble": trouble}


def _show_table(table: Table, number: int, asked: Mapping[str, str]) -> dict[str, Any]:
    """Rows are read for the view of columns, too: it is one page."""
    after = _read_key(asked["after"])
    with moment_of_table(table) as cursor:
        seen = see_table(cursor, table, number)
        if after is not None and len(after) != len(seen.key):
            raise InvalidKey(asked["after"])
        page = page_of_rows(cursor, seen, after=after, limit=PAGE)
    return {
        "columns": seen.columns,
        "rows": [[None if cell is None else _cut(cell) for cell in row] for row in page.rows],
        "next_after": None if page.last is None else json.dumps(page.last),
    }


def _show_changes(dataset: Dataset, version: Version, asked: Mapping[str, str]) -> dict[str, Any]:
    against = _read_number(asked["against"], version.number - 1)
    if against:
        get_version(dataset, against)
    place = _read_key(asked["after"])
    found, following = list_changed_rows(
        dataset,
        against,
        version.number,
        table=asked["table"] or None,
        start=TableKey(place[0], place[1:]) if place else None,
        limit=PAGE,
    )
    return {
        "against": against,
        "changes": [_show_change(each) for each in found],
        "next_after": following and json.dumps([following.table, *following.key]),
    }


def _show_change(each: ChangedRow) -> ShownChange:
    tables, row = each.tables, each.row
    was, now = _by_name(tables.before, row.before), _by_name(tables.after, row.after)
    names = list(dict.fromkeys([*now, *was]))
    if row.before is not None and row.after is not None:
        names = [name for name in names if was.get(name) != now.get(name)]
        cells = [
            ShownCell(name, _cut(now.get(name)), _cut(was.get(name), "NULL")) for name in names
        ]
    else:
        cells = [ShownCell(name, _cut((now or was)[name])) for name in names]
    key = json.dumps(dict(zip(tables.after.key, row.key, strict=True)), ensure_ascii=False)
    return ShownChange(row.change.value, tables.after.name, key, cells)


def _by_name(table: TableAt, cells: Cells | None) -> dict[str, str | None]:
    return {} if cells is None else dict(zip(table.names, cells, strict=True))


def _cut(text: str | None, null: str | None = None) -> str | None:
    if text is None:
        return null
    return text if len(text) <= CELL_MAX else f"{text[:CELL_MAX]}…"


def _read_key(text: str) -> Key | None:
    """A list of texts, as `next_after` gave it. Raises InvalidKey."""
    if not text:
        return None
    try:
        found = json.loads(text)
        fits = isinstance(found, list) and all(isinstance(each, str) for each in found)
        if not fits or not found or "\0" in "".join(found):
            raise InvalidKey(text)
        "".join(found).encode()
    except (ValueError, RecursionError):
        raise InvalidKey(text) from None
    return tuple(found)


def _read_number(text: str, otherwise: int) -> int:
    return int(text[:9]) if text.isascii() and text[:9].isdigit() else otherwise
