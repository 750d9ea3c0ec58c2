"""Rows of a table as a version holds them: what lies there now, but for the keys that later versions changed, whose rows
are the images from before the first of these changes.

A page walks along two indexes, that of the table's key and that of the history's, and never sorts a table. Keys travel as
text, and PostgreSQL reads each as the type of what it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from database.quoting import quote_name
from database.rows import Cursor
from datasets.tables.columns import ColumnAt, TableAt
from datasets.tables.place import HISTORY_SCHEMA

Cells = tuple[str | None, ...]
Key = tuple[str, ...]
STEP_MAX = 50_000  # keys that one statement looks at


@dataclass(frozen=True, slots=True)
class RowPage:
    """Rows by key, each with a cell for every column of the version. `last` is the key behind which the next page begins;
    None: there is none."""

    rows: list[Cells]
    last: Key | None


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Which keys are asked for: those behind `after`, up to `bound`; or `exactly` one."""

    after: Key | None = None
    bound: Key | None = None
    exactly: Key | None = None

    @property
    def parameters(self) -> dict[str, str]:
        return {
            f"{name}{at}": value
            for name, key in (
                ("after", self.after),
                ("bound", self.bound),
                ("exactly", self.exactly),
            )
            for at, value in enumerate(key or ())
        }

    def condition(self, table: TableAt, alias: str) -> str:
        """On the rows of `alias`, which has the columns of the table's key."""
        own = ", ".join(list_keys(table, alias))
        conditions = [
            f"({own}) {operator} ({', '.join(f'%({name}{at})s' for at in range(len(key)))})"
            for name, operator, key in (
                ("after", ">", self.after),
                ("bound", "<=", self.bound),
                ("exactly", "=", self.exactly),
            )
            if key is not None
        ]
        return " AND ".join(conditions) or "true"


EVERY_KEY = KeyRange()


def page_of_rows(
    cursor: Cursor, table: TableAt, *, after: Key | None = None, limit: int
) -> RowPage:
    """The rows behind a key. Within a moment."""
    if not table.is_there:
        return RowPage([], None)
    rows: list[Cells] = []
    step = limit + 1
    while True:
        bound = find_bound(cursor, table, after, step) if table.has_moved else None
        wanted = KeyRange(after, bound)
        statement = f"{_select(table, wanted)} LIMIT {limit + 1 - len(rows)}"
        cursor.execute(statement, wanted.parameters)
        rows += cursor.fetchall()
        if len(rows) > limit:
            return RowPage(rows[:limit], key_of_row(table, rows[limit - 1]))
        if bound is None:
            return RowPage(rows, None)
        after, step = bound, min(step * 2, STEP_MAX)  # few of these keys had rows then


def iter_rows(cursor: Cursor, table: TableAt, *, at_once: int = 5_000) -> Iterator[Cells]:
    """All rows, by key. Within a moment."""
    after = None
    while True:
        page = page_of_rows(cursor, table, after=after, limit=at_once)
        yield from page.rows
        if page.last is None:
            return
        after = page.last


def find_row_of_key(cursor: Cursor, table: TableAt, key: Key) -> Cells | None:
    """The row that has this key. Within a moment. Raises DataError where a value is none of its column's type."""
    if not table.is_there:
        return None
    wanted = KeyRange(exactly=key)
    cursor.execute(_select(table, wanted), wanted.parameters)
    found: Cells | None = cursor.fetchone()
    return found


def select_every_row(table: TableAt) -> str:
    """A statement without parameters, for COPY: all rows, by key, under the names of their columns."""
    return _select(table, EVERY_KEY).replace("%%", "%")


def name_relation(table: TableAt) -> str:
    return f"{quote_name(table.schema)}.{quote_name(table.relation)}"


def name_history(table: TableAt) -> str:
    return f"{quote_name(HISTORY_SCHEMA)}.{quote_name(f'h_{table.table_id.hex}')}"


def list_keys(table: TableAt, alias: str) -> list[str]:
    return [f"{alias}.{quote_name(name)}" for name in table.key]


def key_of_row(table: TableAt, cells: Cells) -> Key:
    return tuple(cells[table.names.index(name)] or "" for name in table.key)


def print_column(column: ColumnAt, alias: str) -> str:
    """The text of a value as the version prints it."""
    return f"{type_column(column, alias)}::text"


def type_column(column: ColumnAt, alias: str) -> str:
    """A value of the type that the version has: the column may have another by now."""
    value = f"{alias}.{quote_name(column.name)}"
    return f"CAST({value} AS {column.type})" if column.retyped else value


def print_image(table: TableAt, column: ColumnAt, alias: str) -> str:
    """The same of an image. A column that nothing changed since it came is in none."""
    return print_column(column, alias) if column.name in table.imaged else "NULL::text"


def find_bound(cursor: Cursor, table: TableAt, after: Key | None, step: int) -> Key | None:
    """Of a table that has moved: the key to which `step` rows of the table lead, or `step` keys of the history, whichever
    is smaller; None where both have fewer."""
    wanted = KeyRange(after)
    order = list_places(table)
    ways = [
        f"(SELECT DISTINCT {type_key(table, 'r')} FROM {name_relation(table)} r"
        f" WHERE {wanted.condition(table, 'r')} ORDER BY {order} OFFSET {step - 1} LIMIT 1)",
        f"(SELECT DISTINCT {type_key(table, 'h')} FROM {name_history(table)} h"
        f" WHERE {wanted.condition(table, 'h')} AND h._version > {table.number}"
        f" ORDER BY {order} OFFSET {step - 1} LIMIT 1)",
    ]
    texts = ", ".join(f"ends.k{at}::text" for at in range(len(table.key)))
    cursor.execute(
        f"SELECT {texts} FROM ({' UNION ALL '.join(ways)}) ends ORDER BY {list_places(table, 'ends.')} LIMIT 1",
        wanted.parameters,
    )
    found: Key | None = cursor.fetchone()
    return found


def select_places(table: TableAt, wanted: KeyRange, *, live: str, image: str) -> str:
    """The rows of the version, wherever they lie: in the table, where `live` is selected of `r`, and in the history, where
    `image` is selected of `i`. It has the parameters of `wanted`."""
    rows = f"SELECT {live} FROM {name_relation(table)} r WHERE {wanted.condition(table, 'r')}"
    if not table.has_moved:
        return rows
    keys = ", ".join(list_keys(table, "h"))
    later = f"FROM {name_history(table)} h WHERE h._version > {table.number}"
    return (
        f"{rows} AND NOT EXISTS (SELECT {later} AND ({keys}) = ({', '.join(list_keys(table, 'r'))}))"
        f" UNION ALL SELECT {image} FROM (SELECT DISTINCT ON ({keys}) h.* {later}"
        f" AND {wanted.condition(table, 'h')} ORDER BY {keys}, h._version) i WHERE i._change <> 'a'"
    )


def _select(table: TableAt, wanted: KeyRange) -> str:
    """By key. It has the parameters of `wanted`."""
    rows = select_places(
        table,
        wanted,
        live=_columns(table, "r"),
        image=_columns(table, "i", images=True),
    )
    cells = ", ".join(f"c{at} AS {quote_name(name)}" for at, name in enumerate(table.names))
    return f"SELECT {cells} FROM ({rows}) both_places ORDER BY {list_places(table, 'both_places.')}"


def _columns(table: TableAt, alias: str, *, images: bool = False) -> str:
    """The key as it is typed, to order by, and the cells."""
    printed = [
        f"{print_image(table, column, alias) if images else print_column(column, alias)} AS c{at}"
        for at, column in enumerate(table.columns)
    ]
    return ", ".join([type_key(table, alias), *printed])


def type_key(table: TableAt, alias: str) -> str:
    return ", ".join(f"{own} AS k{at}" for at, own in enumerate(list_keys(table, alias)))


def list_places(table: TableAt, owner: str = "") -> str:
    """The typed key. Where other names are around it says whose: a column of the table may be called so."""
    return ", ".join(f"{owner}k{at}" for at in range(len(table.key)))
