"""A MariaDB of the test's own."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from embedded.ports import find_free
from farends.contract import Context
from farends.spec import Target
from farends.sql.mysql.source import MysqlSource, open_mysql_source
from farends.sql.options import SqlOptions, SqlSecret
from tests.hosts.child import as_user, find_binary, give_to, serving
from tests.hosts.sinks import loopback_context

PASSWORD = "canary-of-mariadb"
USER = "reader"
_numbers = itertools.count()


@dataclass(frozen=True)
class MysqlDatabase:
    """`session` is the owner's, in autocommit and in UTC."""

    port: int
    name: str
    session: pymysql.Connection[Any]

    def target(self, *, port: int | None = None, **options: Any) -> Target:
        password = options.pop("password", PASSWORD)
        given = {"username": USER, "database": self.name, "tls": "off", **options}
        made = SqlOptions(engine="mariadb", **given)
        return Target("127.0.0.1", port or self.port, made, SqlSecret(password=password))

    def open(self, context: Context | None = None, **options: Any) -> MysqlSource:
        return open_mysql_source(self.target(**options), context or loopback_context())

    def run(self, *statements: str) -> None:
        run_all(self.session, *statements)

    def connect(self) -> pymysql.Connection[Any]:
        """Another session of the owner's, in a transaction once it does something."""
        return log_in(self.port, self.name, autocommit=False)


def run_all(session: pymysql.Connection[Any], *statements: str) -> None:
    with session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def log_in(port: int, database: str = "", *, autocommit: bool = True) -> pymysql.Connection[Any]:
    session = pymysql.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=PASSWORD,
        database=database or None,
        charset="utf8mb4",
        autocommit=autocommit,
        ssl_disabled=True,
    )
    run_all(session, "SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES'")
    return session


@contextlib.contextmanager
def making_mysql_database(port: int) -> Iterator[MysqlDatabase]:
    name = f"source_{next(_numbers)}"
    with log_in(port) as admin:
        run_all(admin, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            with log_in(port, name) as session:
                yield MysqlDatabase(port, name, session)
        finally:
            run_all(admin, f"DROP DATABASE {name}")


def _install(user: str | None, data: Path) -> None:
    """Makes the server's tables; once more where a busy machine had it fail. Raises RuntimeError with what it said."""
    words = (find_binary("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-use-native-aio=0")  # fmt: skip
    said = b""
    for _ in range(2):
        done = subprocess.run(
            as_user(user, words), check=False, capture_output=True, cwd="/", timeout=240
        )
        if done.returncode == 0:
            return
        said = done.stdout + done.stderr
        shutil.rmtree(data, ignore_errors=True)
    raise RuntimeError(said.decode(errors="replace")[-4_000:])


@contextlib.contextmanager
def running_mariadb(*, certificate: Path | None = None) -> Iterator[int]:
    """Yields its port. `certificate` is a PEM file with the key."""
    server = find_binary("mariadbd")
    user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    home = Path(tempfile.mkdtemp(prefix="syncproject-test-my-"))
    try:
        if certificate is not None:
            shutil.copy(certificate, home / "server.pem")
        give_to(user, home, *home.iterdir())
        _install(user, home / "data")
        first = home / "first.sql"
        first.write_text(
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        give_to(user, first)
        port = find_free()
        told = [
            f"--datadir={home}/data",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--socket={home}/socket",
            f"--init-file={first}",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=8M",
            "--skip-name-resolve",
        ]
        if certificate is not None:
            told += [f"--ssl-cert={home}/server.pem", f"--ssl-key={home}/server.pem"]
        command = as_user(user, (server, "--no-defaults", *told))
        with serving(command, port, home / "log") as process:
            _wait_until_ready(process, port)
            yield port
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """The port answers before the first statements have run."""
    for _ in range(400):
        with contextlib.suppress(pymysql.Error), log_in(port):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise AssertionError("MariaDB takes no log-ins")
