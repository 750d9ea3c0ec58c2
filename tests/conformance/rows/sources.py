"""The sources of rows that the suite runs on: add one entry, and the whole suite runs on it.

Each holds entities of the same three columns: `id` (a whole number, the key), `name` (text or NULL) and `updated`
(a moment in UTC or NULL).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from farends.contract import Context
from farends.rows.contract import CursorOrder, RowSource
from tests.hosts.databases import making_database


@dataclass(frozen=True)
class Item:
    id: int
    name: str | None = None
    updated: str | None = None  # "2026-01-02 03:04:05.123456"


@dataclass(frozen=True)
class RowHost:
    """`put` makes an entity that holds these rows, and no others, and returns what a job's `entity` would be; `add`
    puts more rows into it. `cursor` is what tells new rows by `updated`; None: nothing does."""

    open: Callable[[Context], RowSource]
    put: Callable[[str, Sequence[Item]], Mapping[str, Any]]
    add: Callable[[str, Sequence[Item]], None]
    cursor: CursorOrder | None
    key: tuple[str, ...] = ("id",)


@contextlib.contextmanager
def _postgresql(_home: Path) -> Iterator[RowHost]:
    with making_database() as database:

        def add(name: str, rows: Sequence[Item]) -> None:
            statement = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(sql.Identifier(name))
            with database.session.cursor() as cursor:
                cursor.executemany(statement, [(row.id, row.name, row.updated) for row in rows])

        def put(name: str, rows: Sequence[Item]) -> Mapping[str, Any]:
            table = sql.Identifier(name)
            database.session.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
            columns = "(id bigint PRIMARY KEY, name text, updated timestamp(6))"
            made = sql.SQL("CREATE TABLE {} ").format(table) + sql.SQL(columns)
            database.session.execute(made)
            add(name, rows)
            return {"schema": "public", "table": name}

        yield RowHost(database.open, put, add, CursorOrder("updated"))


# By name: what starts it in a folder of its own.
ROW_HOSTS: dict[str, Callable[[Path], AbstractContextManager[RowHost]]] = {
    "postgresql": _postgresql,
}
