"""A name that changes its answer between check and use gains nothing (docs/promises.md, P13)."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farends.contract import Context, RemoteEntry
from farends.dialing import Dialer, Policy
from farends.errors import NetworkForbidden
from tests.conformance.hosts import HOSTS, Host

NAME = "rebinding.example"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"
NARROW = Dialer(Policy.parse([f"{FIRST}/32"]))
REAL = socket.getaddrinfo


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the name is said to be from now on, one look-up after the other; then always the last."""
    left = [FIRST, SECOND]

    def answer(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != NAME or options.get("flags"):
            return REAL(host, port, *args, **options)
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return left


@contextlib.contextmanager
def decoy(port: int) -> Iterator[Callable[[], bool]]:
    """What listens inside, at the same port; whether anybody came."""
    with socket.create_server((SECOND, port)) as listener:
        listener.setblocking(False)

        def was_met() -> bool:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield was_met


def test_the_address_that_was_judged_is_dialled_and_not_the_name(answers: list[str]) -> None:
    with socket.create_server((FIRST, 0)) as allowed:
        port = allowed.getsockname()[1]
        with decoy(port) as was_met:
            with NARROW.dial(NAME, port, timeout_s=5) as connected:
                assert connected.getpeername() == (FIRST, port)
            with pytest.raises(NetworkForbidden):  # judged again, each time
                NARROW.dial(NAME, port, timeout_s=5)
            assert not was_met()


@pytest.fixture(
    params=["openssh", "openssh-shell", "rsync-daemon", "rsync-ssh", "pyftpdlib", "nginx-html"]
)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    served = tmp_path / "served"
    (served / "tree").mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    with HOSTS[request.param](home, served) as running:
        yield running


def test_no_protocol_follows_a_name_inside(host: Host, answers: list[str]) -> None:
    folder = host.served / "tree"
    for number in range(3):
        (folder / f"{number}.txt").write_bytes(b"x" * 100_000)
    target = replace(host.target(folder), host=NAME)
    with decoy(target.port) as was_met:
        found: list[object] = []
        with (
            contextlib.closing(host.spec.open(target, Context(NARROW))) as transport,
            contextlib.suppress(NetworkForbidden),  # a further connection, judged again
        ):
            found += transport.walk()
        assert not was_met()
    assert answers == [SECOND]
    entries = [entry for entry in found if isinstance(entry, RemoteEntry)]
    assert len(entries) == 3 or host.spec.kind == "http"  # which takes a connection more
