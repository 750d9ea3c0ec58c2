"""Debian's PostgreSQL: another major version than ours, and one that speaks TLS."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from embedded.ports import find_free
from tests.hosts.child import as_user, find_binary, give_to, serving

PASSWORD = "canary-of-postgres"


@contextlib.contextmanager
def running_postgres(
    *, certificate: Path | None = None, settings: Sequence[str] = ()
) -> Iterator[str]:
    """Yields the URL of its superuser. `certificate` is a PEM file with the key."""
    binaries = _find_binaries()
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="syncproject-test-pg-"))
    try:
        (home / "password").write_text(PASSWORD)
        if certificate is not None:
            shutil.copy(certificate, home / "server.pem")
            (home / "server.pem").chmod(0o600)
        give_to(user, home, *home.iterdir())
        initdb = (
            str(binaries / "initdb"), "-D", str(home / "data"), "-U", "postgres", "--auth=scram-sha-256",
            "--pwfile", str(home / "password"), "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        subprocess.run(as_user(user, initdb), check=True, capture_output=True, cwd="/", timeout=120)
        port = find_free()
        told = [
            "listen_addresses=127.0.0.1",
            f"port={port}",
            "fsync=off",
            "unix_socket_directories=",
            *settings,
        ]
        if certificate is not None:
            told += [
                "ssl=on",
                f"ssl_cert_file={home}/server.pem",
                f"ssl_key_file={home}/server.pem",
            ]
        flags = [word for one in told for word in ("-c", one)]
        command = as_user(user, (str(binaries / "postgres"), "-D", str(home / "data"), *flags))
        url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
        with serving(command, port, home / "log") as process:
            _wait_until_ready(process, url)
            yield url
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    """The port answers before the server takes log-ins."""
    for _ in range(200):
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise AssertionError("PostgreSQL takes no log-ins")


def _find_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else Path(find_binary("postgres")).parent
