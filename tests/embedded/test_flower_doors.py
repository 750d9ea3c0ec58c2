"""Flower as the stack starts it, on a port of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from embedded import ports, programs
from embedded.child import Child
from embedded.flower_doors import FAILURES_MAX, WITHIN_S, Failures

PASSWORD = "right"


@dataclass(frozen=True)
class Flower:
    url: str

    def status(self, path: str, password: str | None = None, **headers: str) -> int:
        auth = None if password is None else ("admin", password)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = requests.get(f"{self.url}{path}", auth=auth, headers=named, timeout=60)
        return answer.status_code


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    port = ports.find_free()
    logs = tmp_path_factory.mktemp("logs")
    env = {**os.environ, "TRUSTED_PROXIES": "127.0.0.1"}
    child = Child(programs.flower(env, Path(logs), port, PASSWORD))
    child.start()
    try:
        child.wait_until_ready()
        yield Flower(f"http://127.0.0.1:{port}")
    finally:
        child.stop()


@pytest.mark.parametrize("path", ["/metrics", "/", "/workers", "/api/workers", "/api/tasks"])
def test_nothing_is_shown_without_the_password(flower: Flower, path: str) -> None:
    assert flower.status(path) == 401
    assert flower.status("/metrics", PASSWORD) == 200
    assert flower.status("/healthcheck") == 200


def test_an_address_that_tries_many_passwords_has_to_wait(flower: Flower) -> None:
    """The client's own: others who come through the same proxy go on."""
    for _ in range(FAILURES_MAX):
        assert flower.status("/metrics", "wrong", X_Forwarded_For="192.0.2.1") == 401
    assert flower.status("/metrics", PASSWORD, X_Forwarded_For="192.0.2.1") == 429
    assert flower.status("/metrics", X_Forwarded_For="198.51.100.7, 192.0.2.1") == 429
    assert flower.status("/metrics", PASSWORD, X_Forwarded_For="192.0.2.2") == 200
    assert flower.status("/healthcheck") == 200


def test_failures_count_for_a_while_and_of_few_addresses() -> None:
    now = 0.0
    failures = Failures(lambda: now)
    for _ in range(FAILURES_MAX):
        failures.note("192.0.2.1")
        now += 1
    assert failures.wait_s("192.0.2.2") == 0
    assert failures.wait_s("192.0.2.1") == WITHIN_S - FAILURES_MAX
    now = WITHIN_S
    assert failures.wait_s("192.0.2.1") == 0
    for number in range(20_000):
        failures.note(str(number))
    assert len(failures._of) <= 10_000
