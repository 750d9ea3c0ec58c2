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
from farends.rest.source import RestSource
from farends.rows.contract import CursorOrder, RowSource
from tests.hosts.databases import making_database
from tests.hosts.mariadb import making_mysql_database, running_mariadb
from tests.hosts.scripted_api import Asked, Odd, scripted_api


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


@contextlib.contextmanager
def _rest(_home: Path) -> Iterator[RowHost]:
    """An API in a thread of its own, whose lists have two objects a page. Its entities are those of the connector."""
    held: dict[str, list[Item]] = {}

    def answer(asked: Asked) -> Any:
        name = asked.path.removeprefix("/")
        if name not in held:
            return Odd(status="404 Not Found")
        since, after = asked.query.get("since", ""), int(asked.query.get("after", -1))
        found = [row for row in held[name] if row.id > after and (row.updated or "") >= since]
        page = [{"id": row.id, "name": row.name, "updated": row.updated} for row in found[:2]]
        return {"data": page, "more": len(found) > 2}

    with scripted_api(answer) as api:
        entities: dict[str, Any] = {}

        def put(name: str, rows: Sequence[Item]) -> Mapping[str, Any]:
            held[name] = list(rows)
            following = {"cursor": "data[-1].id", "param": "after", "more": "more"}
            entities[name] = {"path": name, "records": "data", "key": ["id"], "next": following}
            return {"name": name}

        def add(name: str, rows: Sequence[Item]) -> None:
            held[name].extend(rows)

        cursor = CursorOrder("updated", "since", "iso8601")
        yield RowHost(
            lambda context: RestSource(api.target(entities=entities), context), put, add, cursor
        )


@contextlib.contextmanager
def _mariadb(_home: Path) -> Iterator[RowHost]:
    with running_mariadb() as port, making_mysql_database(port) as database:

        def add(name: str, rows: Sequence[Item]) -> None:
            with database.session.cursor() as cursor:
                for row in rows:  # one by one: each may be as large as a statement may be
                    given = (row.id, row.name, row.updated)
                    cursor.execute(f"INSERT INTO {name} VALUES (%s, %s, %s)", given)  # noqa: S608 — a name of the suite

        def put(name: str, rows: Sequence[Item]) -> Mapping[str, Any]:
            columns = "(id bigint PRIMARY KEY, name longtext, updated datetime(6))"
            database.run(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} {columns}")
            add(name, rows)
            return {"schema": database.name, "table": name}

        yield RowHost(database.open, put, add, CursorOrder("updated"))


# By name: what starts it in a folder of its own.
ROW_HOSTS: dict[str, Callable[[Path], AbstractContextManager[RowHost]]] = {
    "postgresql": _postgresql,
    "rest": _rest,
    "mariadb": _mariadb,
}
