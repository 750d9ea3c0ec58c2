"""Python's own `http.server`: HTTP/1.0, a connection for each request."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import serving


@contextlib.contextmanager
def running_python_http(home: Path, folder: Path) -> Iterator[int]:
    port = find_free()
    command = [
        sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder),
        str(port),
    ]  # fmt: skip
    with serving(command, port, home / "python_http.log"):
        yield port
