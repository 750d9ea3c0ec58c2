"""Which rows of a table differ between two versions, by key. A page costs what differs, not what is held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from database.rows import Cursor
from datasets.diffs import EntryChange
from datasets.tables.as_of import (
    Cells,
    Key,
    KeyRange,
    key_of_row,
    list_keys,
    name_history,
    name_relation,
    page_of_rows,
    print_column,
    print_image,
)
from datasets.tables.columns import ColumnAt, TableAt

STEP_MAX = 10_000  # keys that one statement looks at
LOOKED_MAX = 100_000  # keys that one page looks at


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that differs. At least one side is there; each has the columns of its own version."""

    key: Key
    before: Cells | None
    after: Cells | None

    @property
    def change(self) -> EntryChange:
        if self.before is None:
            return EntryChange.ADDED
        return EntryChange.REMOVED if self.after is None else EntryChange.CHANGED


@dataclass(frozen=True, slots=True)
class ChangePage:
    """`last` is the key behind which the next page begins; None: there is none."""

    changes: list[RowChange]
    last: Key | None


@dataclass(frozen=True, slots=True)
class TwoTables:
    """One table at two versions; `before` may be the later one."""

    before: TableAt
    after: TableAt

    @property
    def differ(self) -> bool:
        """False where it is known without a look at the rows that nothing does."""
        low = min(self.before.number, self.after.number)
        return self.before.number != self.after.number and self.before.latest > low


def page_of_changes(
    cursor: Cursor,
    tables: TwoTables,
    *,
    after: Key | None = None,
    limit: int,
    only: EntryChange | None = None,
) -> ChangePage:
    """The next changes behind a key. A page may be short and have a next one all the same: many keys may have been
    touched that are as they were. Within a moment."""
    if not tables.differ:
        return ChangePage([], None)
    both = tables.before.is_there and tables.after.is_there
    look = _page_of_touched if both else _page_of_whole
    found: list[RowChange] = []
    step, looked = limit, 0
    while True:
        page = look(cursor, tables, after, step)
        found += [each for each in page.changes if only in (None, each.change)]
        if len(found) > limit:
            return ChangePage(found[:limit], found[limit - 1].key)
        looked += step
        if page.last is None or looked > LOOKED_MAX:
            return ChangePage(found, page.last)
        after, step = page.last, min(step * 2, STEP_MAX)


def iter_row_changes(
    cursor: Cursor, tables: TwoTables, *, only: EntryChange | None = None, at_once: int = 2_000
) -> Iterator[RowChange]:
    """All of them, by key. Within a moment."""
    after = None
    while True:
        page = page_of_changes(cursor, tables, after=after, limit=at_once, only=only)
        yield from page.changes
        if page.last is None:
            return
        after = page.last


def _page_of_whole(cursor: Cursor, tables: TwoTables, after: Key | None, limit: int) -> ChangePage:
    """One side is from before the table was: all rows of the other differ, and the history tells of none of them."""
    side = tables.after if tables.after.is_there else tables.before
    page = page_of_rows(cursor, side, after=after, limit=limit)
    found = [
        RowChange(key_of_row(side, row), None, row)
        if side is tables.after
        else RowChange(key_of_row(side, row), row, None)
        for row in page.rows
    ]
    return ChangePage(found, page.last)


def _page_of_touched(
    cursor: Cursor, tables: TwoTables, after: Key | None, limit: int
) -> ChangePage:
    wanted = KeyRange(after)
    cursor.execute(_compare(tables, wanted, limit), wanted.parameters)
    rows = cursor.fetchall()
    keys = len(tables.after.key)
    middle = keys + 1 + len(tables.before.columns)
    found = []
    for row in rows:
        was = row[keys + 1 : middle] if row[keys] else None
        now = row[middle + 1 :] if row[middle] else None
        if _differ(tables, was, now):
            found.append(RowChange(row[:keys], was, now))
    return ChangePage(found, rows[-1][:keys] if len(rows) == limit else None)


def _differ(tables: TwoTables, was: Cells | None, now: Cells | None) -> bool:
    """A column that one side does not have is like one without a value."""
    if was is None or now is None:
        return was is not now
    if tables.before.names == tables.after.names:
        return was != now
    one = _held_cells(tables.before, was)
    return one != _held_cells(tables.after, now)


def _held_cells(table: TableAt, cells: Cells) -> dict[str, str]:
    return {name: cell for name, cell in zip(table.names, cells, strict=True) if cell is not None}


def _compare(tables: TwoTables, wanted: KeyRange, limit: int) -> str:
    """For each touched key its text, and for both sides whether a row was there, and its cells: those of the first image
    after the side's version, or of the row that lies there now."""
    low, high = sorted((tables.before.number, tables.after.number))
    table = tables.after
    history = name_history(table)
    keys = ", ".join(list_keys(table, "h"))
    own = ", ".join(list_keys(table, "t"))
    touched = (
        f"SELECT DISTINCT {keys} FROM {history} h WHERE h._version > {low} AND h._version <= {high}"
        f" AND {wanted.condition(table, 'h')} ORDER BY {keys} LIMIT {limit}"
    )
    joins = [
        f"LEFT JOIN {name_relation(table)} r ON ({', '.join(list_keys(table, 'r'))}) = ({own})"
    ]
    shown = [f"{one}::text" for one in list_keys(table, "t")]
    for alias, side in (("b", tables.before), ("a", tables.after)):
        joins.append(
            f"LEFT JOIN LATERAL (SELECT h.* FROM {history} h WHERE ({keys}) = ({own})"
            f" AND h._version > {side.number} ORDER BY h._version LIMIT 1) {alias} ON true"
        )
        there = f"{list_keys(table, 'r')[0]} IS NOT NULL"
        shown.append(
            f"CASE WHEN {alias}._version IS NULL THEN {there} ELSE {alias}._change <> 'a' END"
        )
        shown += [_pick(side, column, alias) for column in side.columns]
    return f"SELECT {', '.join(shown)} FROM ({touched}) t {' '.join(joins)} ORDER BY {own}"


def _pick(side: TableAt, column: ColumnAt, alias: str) -> str:
    # What was not there yet has a key that the column's type of then may not hold.
    return (
        f"CASE WHEN {alias}._version IS NULL THEN {print_column(column, 'r')}"
        f" WHEN {alias}._change <> 'a' THEN {print_image(side, column, alias)} END"
    )
