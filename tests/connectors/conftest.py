"""Servers that several modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.asyncssh_host import AsyncsshHost, running_asyncssh


@pytest.fixture(scope="session")
def other_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncsshHost]:
    home = tmp_path_factory.mktemp("asyncssh")
    with running_asyncssh(home, home) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "served"
    made.mkdir()
    return made
