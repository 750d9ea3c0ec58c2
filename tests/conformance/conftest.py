"""Starts each host once for a run, and gives each test a folder of its own on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from farends.contract import Context, Transport
from farends.registry import SPECS
from tests.conformance.hosts import HOSTS, Host, Tree
from tests.hosts.sinks import loopback_context

_numbers = itertools.count()


def numbered() -> str:
    """A folder's name that no other test has."""
    return f"test-{next(_numbers)}"


@pytest.fixture(scope="session", params=sorted(HOSTS))
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    home = tmp_path_factory.mktemp(request.param)
    served = home / "served"
    served.mkdir()
    with HOSTS[request.param](home, served) as running:
        yield running


@pytest.fixture
def tree(host: Host, monkeypatch: pytest.MonkeyPatch) -> Tree:
    if host.spec.kind not in SPECS:  # one of the tests' own, which records are to find as well
        monkeypatch.setitem(SPECS, host.spec.kind, host.spec)
    folder = host.served / numbered()
    folder.mkdir()
    return Tree(host, folder)


@pytest.fixture
def opened(tree: Tree) -> Iterator[Callable[..., Transport]]:
    """Opens a transport on the test's folder; closed after the test."""
    transports: list[Transport] = []

    def open_transport(context: Context | None = None, folder: str = "") -> Transport:
        transport = tree.open(context or loopback_context(), folder)
        transports.append(transport)
        return transport

    yield open_transport
    for transport in transports:
        transport.close()


@pytest.fixture
def transport(opened: Callable[..., Transport]) -> Transport:
    return opened()
