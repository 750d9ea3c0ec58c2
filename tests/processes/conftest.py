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
from tasks.queues import CONSUMED, CONSUMED_BESIDE
from tests.answering import ROOT
from tests.processes.forks import Fork, Forks, forking
from tests.waiting import until


class Start(Protocol):
    """Starts a `worker`, one that tells events (`telling`), an `index` or a `beat`, or an `attended worker`; all end
    with the test. `database_port` is
    that of a proxy; `settings` are of its environment."""

    def __call__(
        self, kind: str, *, database_port: int | None = None, **settings: str
    ) -> Process: ...


def environment(database_port: int | None = None, **settings: str) -> dict[str, str]:
    """Of a process on the test's database."""
    of = connection.settings_dict
    place = f"{of['HOST']}:{database_port or of['PORT']}/{of['NAME']}"
    return os.environ | {
        "DATABASE_URL": f"postgresql://{of['USER']}:{of['PASSWORD']}@{place}",
        "PYTHONUNBUFFERED": "1",
        # Shorter than in production, so that a takeover fits a test.
        "SYNC_HEARTBEAT_INTERVAL_SECONDS": "1",
        "SYNC_LEASE_SECONDS": "4",
        **settings,
    }


class Process:
    """One of our processes, in a session of its own, ended by its pid."""

    def __init__(self, name: str, popen: Fork | subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log

    def wait_for_line(self, text: str, *, within_s: float = 30) -> None:
        complaint = f"{self.name} did not say {text!r}"
        until(lambda: text in self.log.read_text(), complaint, within_s=within_s)

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.kill()
        self.popen.wait(90)


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(settings.CELERY_BROKER_URL)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="package")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forking(tmp_path_factory.mktemp("forks") / "log") as running:
        yield running


@pytest.fixture
def start(
    transactional_db: None, broker: redis.Redis, tmp_path: Path, forks: Forks
) -> Iterator[Start]:
    """Starts a `worker` or a `beat`; all end with the test."""
    plan_chores()
    started: list[Process] = []
    worker = (
        f"worker -P threads -c 6 -Q {CONSUMED} --without-gossip --without-mingle"
        " --loglevel INFO -n {name}@%h"
    )
    arguments = {
        "worker": worker,
        "telling": f"{worker} -E",
        "practice": f"{worker} -I tests.processes.practice_worker",
        "index": worker.replace(f"-Q {CONSUMED}", f"-Q {CONSUMED_BESIDE}"),
        "beat": "beat --scheduler tasks.beat:SyncScheduler --pidfile= --loglevel INFO",
    }

    def start_one(kind: str, *, database_port: int | None = None, **settings: str) -> Process:
        name = f"{kind.replace(' ', '-')}{len(started)}"
        watched, _, kind = kind.rpartition(" ")
        words = ["celery", "-A", "syncproject", *arguments[kind].format(name=name).split()]
        log = tmp_path / f"{name}.log"
        env = environment(database_port, **settings)
        popen = _attend(words, env, log) if watched else forks.start(words, env, out=log, err=log)
        process = Process(name, popen, log)
        started.append(process)
        process.wait_for_line("beat: Starting" if kind == "beat" else "ready.", within_s=90)
        return process

    yield start_one
    for process in started:
        process.end()


def _attend(words: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "embedded.attend", sys.executable, "-m", *words],
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
