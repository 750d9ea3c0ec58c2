"""Brings a table back to what it held at an older version. The caller owns the transaction, and what becomes of versions.

Only rows that later versions touched are looked at, and only those that differ are written, with images in the history as
for any other version. The relation keeps its columns and their types, which hold more than they once did: columns that
came later are empty afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from database.quoting import quote_name, quote_names
from database.rows import fetch_rows
from datasets.tables.as_of import list_keys, name_history, name_relation
from datasets.tables.columns import TableAt
from datasets.tables.row_writing import need_history


@dataclass(frozen=True, slots=True)
class Restored:
    added: int = 0
    changed: int = 0
    removed: int = 0

    @property
    def differs(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def restore_rows(cursor: Any, table: TableAt, number: int) -> Restored:
    """Makes version `number` hold what `table`, a look at an older version, held. Raises the database's own errors where a
    constraint of the relation, or a type of today, does not let a row come back."""
    if table.is_there and not table.has_moved:
        return Restored()
    cursor.execute(_find_changes(table) if table.is_there else _find_all(table), {})
    cursor.execute("ANALYZE back")  # else the joins are planned as if it were small
    cursor.execute(_COUNT)
    [counts] = fetch_rows(cursor, Restored)
    if counts.differs:
        types = {name: table.held[name] for name in table.key}
        need_history(cursor, table.place, types, _others(table))
        for statement in (_keep_images(table, number), *_write_rows(table)):
            cursor.execute(statement, {})
    cursor.execute("DROP TABLE back")
    return counts


_COUNT = """
SELECT count(*) FILTER (WHERE _change = 'a') AS added, count(*) FILTER (WHERE _change = 'c') AS changed,
       count(*) FILTER (WHERE _change = 'r') AS removed FROM back
"""


def _find_all(table: TableAt) -> str:
    """The table was not there yet: every row goes."""
    return (
        "CREATE TEMP TABLE back ON COMMIT DROP AS"
        f" SELECT 'r'::\"char\" AS _change, {_keys(table, 'r')} FROM {name_relation(table)} r"
    )


def _find_changes(table: TableAt) -> str:
    """What is to be done with each key that was touched since, and the cells of the row that it had then."""
    keys = _keys(table, "h")
    then = {
        name: f"f.{quote_name(name)}" if name in {*table.names} & table.imaged else "NULL::text"
        for name in _others(table)
    }
    differs = " OR ".join(
        f"CAST({cell} AS {table.held[name]})::text IS DISTINCT FROM r.{quote_name(name)}::text"
        for name, cell in then.items()
    )
    here = f"{list_keys(table, 'r')[0]} IS NOT NULL"
    cells = "".join(f", {cell} AS {quote_name(name)}" for name, cell in then.items())
    return (
        "CREATE TEMP TABLE back ON COMMIT DROP AS SELECT (CASE WHEN f._change = 'a' THEN 'r'"
        f" WHEN {here} THEN 'c' ELSE 'a' END)::\"char\" AS _change, {_keys(table, 'f')}{cells}"
        f" FROM (SELECT DISTINCT ON ({keys}) h.* FROM {name_history(table)} h"
        f" WHERE h._version > {table.number} ORDER BY {keys}, h._version) f"
        f" LEFT JOIN {name_relation(table)} r ON ({_keys(table, 'r')}) = ({_keys(table, 'f')})"
        f" WHERE CASE WHEN f._change = 'a' THEN {here} WHEN {here} THEN {differs or 'false'} ELSE true END"
    )


def _keep_images(table: TableAt, number: int) -> str:
    images = [f"r.{quote_name(name)}::text" for name in _others(table)]
    return (
        f"INSERT INTO {name_history(table)} (_version, _change, {quote_names([*table.key, *_others(table)])})"
        f" SELECT {number}, b._change, {', '.join([_keys(table, 'b'), *images])}"
        f" FROM back b LEFT JOIN {name_relation(table)} r"
        f" ON b._change <> 'a' AND ({_keys(table, 'r')}) = ({_keys(table, 'b')})"
    )


def _write_rows(table: TableAt) -> list[str]:
    relation, others = name_relation(table), _others(table)
    same = f"({_keys(table, 'r')}) = ({_keys(table, 'b')})"
    cells = [f"CAST(b.{quote_name(name)} AS {table.held[name]})" for name in others]
    statements = [f"DELETE FROM {relation} r USING back b WHERE b._change = 'r' AND {same}"]
    if not table.is_there:
        return statements
    if others:
        assigned = [
            f"{quote_name(name)} = {cell}" for name, cell in zip(others, cells, strict=True)
        ]
        statements.append(
            f"UPDATE {relation} r SET {', '.join(assigned)} FROM back b WHERE b._change = 'c' AND {same}"
        )
    statements.append(
        f"INSERT INTO {relation} ({quote_names([*table.key, *others])})"
        f" SELECT {', '.join([_keys(table, 'b'), *cells])} FROM back b WHERE b._change = 'a'"
    )
    return statements


def _keys(table: TableAt, alias: str) -> str:
    return ", ".join(list_keys(table, alias))


def _others(table: TableAt) -> list[str]:
    return [name for name in table.held if name not in table.key]
