"""Stored connectors of kind sql: what is opened from them, and how they are saved."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from connectors import opening
from connectors.models import Connector
from connectors.monitoring import check_now
from connectors.opening import open_database, open_rows
from connectors.watching import Reachability
from farends.errors import AuthConfig, AuthRefused, NetworkForbidden
from farends.rows.contract import Reading
from syncjobs.configuration.connectors import InvalidConnector, write_connector
from tests.hosts.databases import Database
from tests.rows import make_workspace

pytestmark = pytest.mark.django_db(transaction=True)


def never() -> None:
    return None


@pytest.fixture(autouse=True)
def _may_be_dialled(settings: Settings) -> None:
    """The tests' database stands on the product's own server."""
    settings.OWN_LISTENERS = []


def make_connector(database: Database, **more: Any) -> Connector:
    workspace = make_workspace()
    options = {
        "engine": "postgresql",
        "database": database.name,
        "username": database.username,
        "tls": "off",
    }
    fields = {
        "name": "shop",
        "kind": "sql",
        "host": database.host,
        "port": database.port,
        "options": options | more.pop("options", {}),
        "secret": {"password": database.password},
    }
    return write_connector(Connector(workspace=workspace), fields | more).connector


def test_rows_are_read_through_a_stored_connector(database: Database) -> None:
    database.session.execute("CREATE TABLE items AS SELECT 1 AS id, 'x' AS v")
    source = open_rows(make_connector(database), check=never)
    found = source.describe({"table": "items"})
    source.begin(Reading(found.spec, found.columns, found.key))
    assert [row for chunk in source.read() for row in chunk.rows] == [b"1\tx\n"]
    assert [one.name for one in source.entities()] == ["public.items"]
    assert source.preview(found.spec, 1).rows == (("1", "x"),)
    assert source.capabilities.server_software.startswith("PostgreSQL")
    assert not source.drifted
    source.close()


def test_a_session_for_who_fills_tables(database: Database) -> None:
    with open_database(make_connector(database), check=never) as session:
        session.execute("CREATE TABLE made (id int)")
        with session.cursor().copy("COPY made FROM STDIN") as copy:
            copy.write(b"1\n2\n")
        assert session.execute("SELECT count(*) FROM made").fetchone() == (2,)


def test_what_offers_no_tables_says_so(database: Database) -> None:
    connector = make_connector(
        database, kind="http", options={"engine": None, "database": None, "username": None, "tls": None}, secret=None
    )  # fmt: skip
    with pytest.raises(AuthConfig, match="offers no tables"):
        open_rows(connector, check=never)
    with pytest.raises(AuthConfig, match="no tables can be filled"):
        open_database(connector, check=never)


def test_errors_tell_nothing_of_the_secret(database: Database) -> None:
    secret = {"password": "canary-password"}
    connector = make_connector(database, options={"username": "canary-password"}, secret=secret)
    with pytest.raises(AuthRefused) as caught:
        open_rows(connector, check=never)
    assert "canary" not in str(caught.value)
    assert "***" in str(caught.value)


def test_the_products_own_database_is_no_far_end(database: Database, settings: Settings) -> None:
    connector = make_connector(database)
    settings.OWN_LISTENERS = [(database.host, database.port)]
    with pytest.raises(NetworkForbidden):
        open_rows(connector, check=never)


def test_the_test_and_the_monitor_see_the_server(database: Database) -> None:
    connector = make_connector(database)
    assert {told.outcome.value for told in opening.test_connector(connector)} <= {
        "passed",
        "skipped",
    }
    assert check_now(connector).state == Reachability.ONLINE


def test_a_port_that_nobody_names_is_the_engines(database: Database) -> None:
    assert make_connector(database, port=None).port == 5432


def test_a_destination_names_its_schemas(database: Database) -> None:
    with pytest.raises(InvalidConnector) as caught:
        make_connector(database, options={"writable": True})
    assert [path for path, _ in caught.value.problems] == [("options", "schemas")]
