"""Real worker and beat processes on the test database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import redis
from django.conf import settings
from django.db import connection

from cli.chores import plan_chores
from tasks.queues import CONSUMED
from tests.hosts.sshd import Sshd, running_sshd
from tests.waiting import until


class Start(Protocol):
    """Starts a `worker` or a `beat`, or an `attended worker`; all end with the test. `database_port` is
    that of a proxy; `settings` are of its environment."""

    def __call__(
        self, kind: str, *, database_port: int | None = None, **settings: str
    ) -> Process: ...


class Process:
    """One of our processes, in a session of its own, ended by its pid."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        log: Path,
        *,
        database_port: int | None = None,
        **settings: str,
    ) -> None:
        self.name = name
        self.log = log
        host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
        user, password = connection.settings_dict["USER"], connection.settings_dict["PASSWORD"]
        database = connection.settings_dict["NAME"]
        environment = os.environ | {
            "DATABASE_URL": f"postgresql://{user}:{password}@{host}:{database_port or port}/{database}",
            "PYTHONUNBUFFERED": "1",
            # Shorter than in production, so that a takeover fits a test.
            "SYNC_HEARTBEAT_INTERVAL_SECONDS": "1",
            "SYNC_LEASE_SECONDS": "4",
            **settings,
        }
        celery = ("-m", "celery", "-A", "syncproject")
        watchdog = ("-m", "embedded.attend", sys.executable)
        words = (*watchdog, *celery) if name.startswith("attended") else celery
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, *words, *arguments],
                env=environment,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_for_line(self, text: str) -> None:
        until(lambda: text in self.log.read_text(), f"{self.name} did not say {text!r}")

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
        self.popen.wait(10)


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def start(transactional_db: None, broker: redis.Redis, tmp_path: Path) -> Iterator[Start]:
    """Starts a `worker` or a `beat`; all end with the test."""
    plan_chores()
    started: list[Process] = []
    worker = (
        f"worker -P threads -c 6 -Q {CONSUMED} --without-gossip --without-mingle"
        " --loglevel INFO -n {name}@%h"
    )
    arguments = {
        "worker": worker,
        "practice": f"{worker} -I tests.processes.practice_worker",
        "beat": "beat --scheduler tasks.beat:SyncScheduler --pidfile= --loglevel INFO",
    }

    def start_one(kind: str, *, database_port: int | None = None, **settings: str) -> Process:
        name = f"{kind.replace(' ', '-')}{len(started)}"
        kind = kind.rpartition(" ")[2]
        words = arguments[kind].format(name=name).split()
        log = tmp_path / f"{name}.log"
        process = Process(name, words, log, database_port=database_port, **settings)
        started.append(process)
        process.wait_for_line("beat: Starting" if kind == "beat" else "ready.")
        return process

    yield start_one
    for process in started:
        process.end()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder
