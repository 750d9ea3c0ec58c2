"""The product's own web server, on the test's database."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from embedded.ports import find_free
from tests.hosts.child import serving


@contextlib.contextmanager
def running_gunicorn(home: Path, **settings: str) -> Iterator[int]:
    """Yields the port. `settings` are of its environment."""
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    port = find_free()
    command = [
        *("env", f"DATABASE_URL={url}", *(f"{name}={value}" for name, value in settings.items())),
        *(sys.executable, "-m", "gunicorn", "syncproject.wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--threads", "54"),
        *("--worker-class", "syncproject.serving.WebWorker", "--worker-connections", "500"),
        "--no-control-socket",
    ]  # fmt: skip
    with serving(command, port, home / "gunicorn.log"):
        yield port
