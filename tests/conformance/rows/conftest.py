"""Starts each source once for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from farends.contract import Context
from farends.rows.contract import RowSource
from tests.conformance.rows.loading import Loader
from tests.conformance.rows.sources import ROW_HOSTS, RowHost
from tests.hosts.sinks import loopback_context
from tests.servers import servers


@pytest.fixture(scope="session", params=sorted(ROW_HOSTS))
def row_host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RowHost]:
    with ROW_HOSTS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def opened_rows(row_host: RowHost) -> Iterator[Callable[..., RowSource]]:
    """Opens a source; closed after the test."""
    sources: list[RowSource] = []

    def open_rows(context: Context | None = None) -> RowSource:
        sources.append(row_host.open(context or loopback_context()))
        return sources[-1]

    yield open_rows
    for source in sources:
        source.close()


@pytest.fixture
def row_source(opened_rows: Callable[..., RowSource]) -> RowSource:
    return opened_rows()


@pytest.fixture
def loader() -> Iterator[Loader]:
    with psycopg.connect(
        servers().database_url, autocommit=True, options="-c timezone=UTC"
    ) as session:
        yield Loader(session)
