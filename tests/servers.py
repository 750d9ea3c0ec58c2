"""A pytest plugin: a private PostgreSQL and Valkey, up before Django reads its settings.

`-p tests.servers` in pyproject.toml loads it; run pytest as `python -m pytest` from the project's
folder. Nothing of the developer's own stack is touched: whatever DATABASE_URL says, these servers
are used. A test that wants to hurt one takes it from `servers()`.
"""

from __future__ import annotations

import atexit
import base64
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded import postgres, valkey
from embedded.child import Child

# Only here: a test's database may be lost with the machine.
_HASTY = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
_PRIVATE = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "SECRETS_KEYS",
    "CRON_SECRET",
    "DATA_DIR",
    "ALLOWED_NETWORKS",
    "ALLOWED_HOSTS",
    "EMBEDDING_URL",
    "SEARCH_LANGUAGES",
)


@dataclass(frozen=True, slots=True)
class Servers:
    data_dir: Path
    database_url: str
    redis_url: str
    postgres: Child  # a test may kill and start it again: port and data stay
    valkey: Child

    def stop(self) -> None:
        home = (self.data_dir / "postgres").resolve()  # may lie outside, see embedded.postgres
        for child in (self.valkey, self.postgres):
            child.stop()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(self.data_dir, ignore_errors=True)


_servers: Servers | None = None


def servers() -> Servers:
    """The servers of this test run."""
    if _servers is None:
        raise RuntimeError("the servers run between pytest's configuration and its end only")
    return _servers


def start(settings: Mapping[str, str] | None = None) -> Servers:
    """PostgreSQL and Valkey in a fresh folder; the caller stops them. `settings` are PostgreSQL's."""
    data_dir = Path(tempfile.mkdtemp(prefix="syncproject-test-"))
    data_dir.chmod(0o711)  # under root PostgreSQL runs as nobody
    database = postgres.prepare_postgres(data_dir, settings={**_HASTY, **(settings or {})})
    broker = valkey.prepare_valkey(data_dir)
    started = Servers(
        data_dir=data_dir,
        database_url=database.url,
        redis_url=broker.url,
        postgres=Child(database.program(data_dir / "log" / "postgres.log")),
        valkey=Child(broker.program(data_dir / "log" / "valkey.log")),
    )
    try:
        for child in (started.postgres, started.valkey):
            child.start()
        for child in (started.postgres, started.valkey):
            child.wait_until_ready()
    except BaseException:
        started.stop()
        raise
    return started


def publish(started: Servers) -> None:
    """Makes them the product's, in this process's environment."""
    for name in _PRIVATE:
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)  # would win over NAME
    os.environ.update(
        DATABASE_URL=started.database_url,
        REDIS_URL=started.redis_url,
        SECRET_KEY=secrets.token_urlsafe(50),
        SECRETS_KEYS=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        CRON_SECRET=secrets.token_urlsafe(24),
        DATA_DIR=str(started.data_dir),
        ALLOWED_NETWORKS="127.0.0.0/8,::1/128",
    )


# A wrapper, because pytest-django reads the settings in a `tryfirst` call of the same hook.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    global _servers
    asked = early_config.known_args_namespace
    if not (asked.help or asked.version):
        _servers = start()
        atexit.register(_stop)  # for an end without pytest_unconfigure
        publish(_servers)
    yield


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _stop()


def _stop() -> None:
    global _servers
    if _servers is not None:
        _servers.stop()
        _servers = None
