"""A database of a test's own, on the PostgreSQL of the test run or on another."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from farends.contract import Context
from farends.spec import Target
from farends.sql.kind import SPEC
from farends.sql.options import SqlOptions, SqlSecret
from farends.sql.postgresql.source import PostgresSource, open_source
from tests.hosts.sinks import loopback_context
from tests.servers import servers
from tests.waiting import until

_numbers = itertools.count()


@dataclass(frozen=True)
class Database:
    """`session` is the owner's, in autocommit and in UTC."""

    host: str
    port: int
    name: str
    username: str
    password: str
    session: psycopg.Connection[tuple[Any, ...]]

    @property
    def url(self) -> str:
        return f"postgresql://{self.username}:{self.password}@{self.host}:{self.port}/{self.name}"

    def target(self, *, port: int | None = None, **options: Any) -> Target:
        password = options.pop("password", self.password)
        given = {"username": self.username, "database": self.name, "tls": "off", **options}
        made = SqlOptions(engine="postgresql", **given)
        return Target(self.host, port or self.port, made, SqlSecret(password=password))

    def open(self, context: Context | None = None, **options: Any) -> PostgresSource:
        return open_source(self.target(**options), context or loopback_context())

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Another session of the owner's, in a transaction once it does something."""
        return psycopg.connect(self.url, options="-c timezone=UTC")


def drop_database(admin: psycopg.Connection[Any], name: str) -> None:
    """Who is connected is sent away; one whom only a superuser may send away, an autovacuum worker, ends soon."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))

    def is_dropped() -> bool:
        try:
            admin.execute(drop)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    until(is_dropped, f"an autovacuum worker stays in {name}")


@contextlib.contextmanager
def making_database(url: str | None = None) -> Iterator[Database]:
    """A new one beside that of `url`, whose role may make databases."""
    parts = urlsplit(url or servers().database_url)
    name = f"source_{next(_numbers)}"
    with psycopg.connect(url or servers().database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            host, port = str(parts.hostname), int(parts.port or SPEC.default_port)
            username, password = str(parts.username), str(parts.password)
            where = f"postgresql://{username}:{password}@{host}:{port}/{name}"
            with psycopg.connect(where, autocommit=True, options="-c timezone=UTC") as session:
                yield Database(host, port, name, username, password, session)
        finally:
            drop_database(admin, name)
