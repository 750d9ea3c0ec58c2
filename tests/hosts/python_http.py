"""Python's own `http.server`: HTTP/1.0, a connection for each request."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.hosts.child import free_port, serving


@contextlib.contextmanager
def running_python_http(home: Path, folder: Path) -> Iterator[int]:
    port = free_port()
    command = [
        sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder),
        str(port),
    ]  # fmt: skip
    with serving(command, port, home / "python_http.log"):
        yield port
