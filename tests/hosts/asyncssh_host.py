"""Starts `asyncssh_server` as a child process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import find_free
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from tests.hosts.asyncssh_server import PASSWORD
from tests.hosts.child import serving
from tests.hosts.sshd import make_key


@dataclass(frozen=True)
class AsyncsshHost:
    port: int
    host_key: str

    def target(
        self, folder: Path | str, *, password: str = PASSWORD, host_key: str | None = None
    ) -> Target:
        options = SftpOptions(
            username="reader",
            root=str(folder),
            host_key=self.host_key if host_key is None else host_key,
        )
        return Target("127.0.0.1", self.port, options, SftpSecret(password=password))


@contextlib.contextmanager
def running_asyncssh(home: Path, folder: Path, *words: str) -> Iterator[AsyncsshHost]:
    """The word `prompts` makes it ask for the password by keyboard-interactive only; `shell` lets it run
    commands."""
    port = find_free()
    make_key(home / "host", "ed25519")
    module = "tests.hosts.asyncssh_server"
    command = [sys.executable, "-m", module, str(port), str(folder), str(home / "host"), *words]
    with serving(command, port, home / "asyncssh.log"):
        yield AsyncsshHost(port, (home / "host.pub").read_text().strip())
