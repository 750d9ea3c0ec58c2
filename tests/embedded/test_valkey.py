"""Valkey from the wheel: started, hurt, started again."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from embedded import ports, valkey
from embedded.child import Child
from embedded.valkey import Valkey
from tests.waiting import until


@pytest.fixture
def prepared(data_dir: Path) -> Valkey:
    return valkey.prepare_valkey(data_dir, ports.find_free())


@pytest.fixture
def server(prepared: Valkey, data_dir: Path) -> Iterator[Child]:
    child = Child(prepared.program(data_dir / "log" / "valkey.log"))
    child.start()
    child.wait_until_ready()
    yield child
    child.stop()


def ask(url: str, *words: str) -> object:
    with redis.Redis.from_url(url) as client:
        return client.execute_command(*words)


def test_a_stop_keeps_everything(prepared: Valkey, server: Child, data_dir: Path) -> None:
    ask(prepared.url, "SET", "kept", "42")
    server.stop()
    assert server.ending() == "ended with status 0"

    assert valkey.prepare_valkey(data_dir, prepared.port).url == prepared.url
    server.start()
    server.wait_until_ready()

    assert ask(prepared.url, "GET", "kept") == b"42"


def test_what_was_appended_survives_kill_9(prepared: Valkey, server: Child) -> None:
    ask(prepared.url, "SET", "kept", "42")
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not server.is_alive(), "the server did not end")

    server.start()
    server.wait_until_ready()

    assert ask(prepared.url, "GET", "kept") == b"42"


def test_it_is_set_up_as_a_broker(prepared: Valkey, server: Child) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    with redis.Redis.from_url(prepared.url, decode_responses=True) as client:
        found = client.config_get(*wanted)
    assert found == wanted


def test_the_password_is_asked_for_and_never_shown(prepared: Valkey, server: Child) -> None:
    with pytest.raises(redis.AuthenticationError):
        ask(f"redis://127.0.0.1:{prepared.port}/0", "PING")
    assert prepared.password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    for name in ("password", "valkey.conf"):
        assert stat.S_IMODE((prepared.home / name).stat().st_mode) == 0o600


def test_it_listens_on_loopback_only(prepared: Valkey, server: Child) -> None:
    port = f":{prepared.port:04X}"
    sockets = Path(f"/proc/{server.pid}/net/tcp").read_text().splitlines()[1:]
    listening = {line.split()[1] for line in sockets if line.split()[3] == "0A"}
    assert {each for each in listening if each.endswith(port)} == {f"0100007F{port}"}
