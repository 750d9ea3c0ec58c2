"""A real sshd whose SFTP server is the scripted one, with as many files as are asked for."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from farends.spec import Target
from tests.hosts import scripted_sftp
from tests.hosts.sshd import running_sshd


@contextlib.contextmanager
def running_forced_sftp(home: Path, served: Path, *words: str) -> Iterator[Target]:
    with running_sshd(home) as sshd:
        command = shlex.join([sys.executable, str(scripted_sftp.__file__), str(served), *words])
        key = (home / "user.pub").read_text()
        sshd.authorized_keys.write_text('command="{}" {}'.format(command.replace('"', '\\"'), key))
        yield sshd.target(served)
