"""Redis is disposable: emptied, killed, read-only, full or hung, it costs time and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from embedded.ports import find_free
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.records import SLOW, events_of, slow_job, until_fetching, until_final
from tests.proxy import proxying
from tests.rows import digests_below, digests_of, fill, fresh, make_connector, make_job
from tests.servers import servers
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

VERY_SLOW = 15_000  # bytes a second: the record is in work all through the fault


class Killed:
    """And what it held is gone for good."""

    told = "unreachable"

    def __init__(self, broker: redis.Redis) -> None:
        self.valkey = servers().valkey

    def begin(self) -> None:
        os.kill(self.valkey.pid, signal.SIGKILL)
        until(lambda: not self.valkey.is_alive(), "Valkey did not die")
        shutil.rmtree(servers().data_dir / "valkey" / "appendonlydir")

    def end(self) -> None:
        self.valkey.start()
        self.valkey.wait_until_ready()


class Hung:
    told = "unreachable"

    def __init__(self, broker: redis.Redis) -> None:
        self.valkey = servers().valkey

    def begin(self) -> None:
        os.kill(self.valkey.pid, signal.SIGSTOP)

    def end(self) -> None:
        os.kill(self.valkey.pid, signal.SIGCONT)


class ReadOnly:
    told = "read-only"

    def __init__(self, broker: redis.Redis) -> None:
        self.broker = broker

    def begin(self) -> None:
        self.broker.replicaof("127.0.0.1", str(find_free()))

    def end(self) -> None:
        self.broker.replicaof("NO", "ONE")


class Full:
    told = "full"

    def __init__(self, broker: redis.Redis) -> None:
        self.broker = broker

    def begin(self) -> None:
        self.broker.config_set("maxmemory", "1")

    def end(self) -> None:
        self.broker.config_set("maxmemory", "512mb")


@pytest.mark.parametrize("fault", [Killed, Hung, ReadOnly, Full])
def test_q04_p10_records_survive_a_broker_that(
    fault: Callable[[redis.Redis], Killed | Hung | ReadOnly | Full],
    start: Start,
    sshd: Sshd,
    source: Path,
    tmp_path: Path,
    broker: redis.Redis,
    console: Client,
) -> None:
    """... fails. A record at work goes on, what comes to be due waits in the database, the console
    answers and takes orders, and all of it is served when the broker is back."""
    small = tmp_path / "small"
    small.mkdir()
    fill(small, {"a.txt": b"x"})
    connector = make_connector(sshd.target(small))
    worker, beat = start("worker"), start("beat")
    broken = fault(broker)
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        running = until_fetching(enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL))
        proxy.bytes_per_s = VERY_SLOW
        broken.begin()
        try:
            began = timezone.now()
            due = make_job(connector, schedule={"every_s": 1})
            ordered = order(console, make_job(connector))
            beat.wait_for_line("bell.broker_away")
            until(lambda: due.records.exists(), "the due fire was lost")
            health = console.get("/health")
            assert (health.status_code, health.json()["checks"]["redis"]) == (503, broken.told)
            assert health.json()["checks"]["database"] == "ok"
            assert (fresh(ordered).state, fresh(running).state) == (State.QUEUED, State.RUNNING)
        finally:
            broken.end()
        until_final(ordered)
        until(
            lambda: due.records.filter(state=State.SUCCEEDED, started_at__gt=began).exists(),
            "the due record was not served",
        )
        assert events_of(running) == ["claimed"]
        proxy.bytes_per_s = None
        until_final(running)
    assert console.get("/health").status_code == 200
    assert ordered.state == running.state == State.SUCCEEDED
    assert events_of(running) == ["claimed", "succeeded"]
    assert digests_of(running.job.dataset) == digests_below(source)
    assert (worker.popen.poll(), beat.popen.poll()) == (None, None)


def order(console: Client, job: SyncJob) -> SyncRecord:
    """Queued by the console's button."""
    answer = console.post(reverse("admin:syncjobs_syncjob_press", args=[job.pk, "sync"]))
    assert answer.status_code == 302
    return job.records.get()


@pytest.fixture
def console(transactional_db: None) -> Client:
    user = get_user_model().objects.create_superuser("root")
    client = Client()
    client.force_login(user)
    return client
