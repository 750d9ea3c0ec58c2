"""Starts `pyftpd_server` as a child process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import serving


@contextlib.contextmanager
def running_pyftpd(
    home: Path, folder: Path, *words: str, certificate: Path | None = None
) -> Iterator[int]:
    """Yields the port. Anonymous; links are followed, for it does not tell them apart."""
    port = find_free()
    secure = [] if certificate is None else ["--pem", str(certificate)]
    module = "tests.hosts.pyftpd_server"
    command = [sys.executable, "-m", module, str(port), str(folder), *secure, *words]
    with serving(command, port, home / "pyftpd.log"):
        yield port
