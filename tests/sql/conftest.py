"""A database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from farends.sql.postgresql.source import PostgresSource
from tests.conformance.rows.loading import Loader
from tests.hosts.databases import Database, making_database
from tests.hosts.mariadb import MysqlDatabase, making_mysql_database, running_mariadb
from tests.servers import servers


@pytest.fixture(scope="session")
def shared_database() -> Iterator[Database]:
    with making_database() as made:
        yield made


@pytest.fixture
def database(shared_database: Database) -> Database:
    """Empty: each test has a schema `public` of its own."""
    shared_database.session.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    return shared_database


@pytest.fixture
def pg_source(database: Database) -> Iterator[PostgresSource]:
    source = database.open()
    yield source
    source.close()


@pytest.fixture
def opened_sources(database: Database) -> Iterator[Callable[..., PostgresSource]]:
    made: list[PostgresSource] = []

    def open_source(**options: Any) -> PostgresSource:
        made.append(database.open(**options))
        return made[-1]

    yield open_source
    for source in made:
        source.close()


@pytest.fixture
def loader() -> Iterator[Loader]:
    with psycopg.connect(
        servers().database_url, autocommit=True, options="-c timezone=UTC"
    ) as session:
        yield Loader(session)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[int]:
    with running_mariadb() as port:
        yield port


@pytest.fixture
def mysql_database(mariadb: int) -> Iterator[MysqlDatabase]:
    with making_mysql_database(mariadb) as database:
        yield database
