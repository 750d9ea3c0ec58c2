from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from connectors.models import Connector
from datasets.store import ensure_store
from tests.api.row_sources import fill
from tests.console.conftest import Tenant, make_tenant
from tests.hosts.databases import Database, making_database
from tests.rows import make_connector


@pytest.fixture(autouse=True)
def _cron_secret(settings: Settings) -> None:
    settings.CRON_SECRET = "a word that no test says by chance"


@pytest.fixture
def acme(db: None) -> Tenant:
    ensure_store()
    return make_tenant("acme")


@pytest.fixture
def lab(acme: Tenant) -> Tenant:
    return make_tenant("lab")


@pytest.fixture
def shop_database(db: None, settings: Settings) -> Iterator[Database]:
    """With tables. It lies on the server of the test run, which connectors may reach here."""
    settings.OWN_LISTENERS = ()
    with making_database() as made:
        fill(made)
        yield made


@pytest.fixture
def shop(shop_database: Database) -> Connector:
    return make_connector(shop_database.target(), kind="sql")
