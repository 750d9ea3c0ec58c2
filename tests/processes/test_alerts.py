"""Alerts on real processes: beat notices what is due, the process of the queue `alerts` sends it by a child of its own."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from django.db import connection

from alerts.core.words import Severity
from alerts.models import AlertMessage
from tests.alerts.things import (
    make_alert,
    make_channel,
    make_rule,
    make_workspace,
    open_alert,
    tell,
)
from tests.hosts.alert_receiver import Received, Reply, receiving_alerts
from tests.hosts.gunicorn import running_gunicorn
from tests.processes.conftest import Start
from tests.processes.test_broker_faults import Full, Killed
from tests.processes.test_index_worker import children_of
from tests.servers import servers
from tests.waiting import until
from timing.clock import database_now
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.process

EVENTS = 12


def rss_of(pid: int) -> int:
    told = Path(f"/proc/{pid}/statm").read_text()
    return int(told.split()[1]) * resource.getpagesize()


def courier_of(pid: int) -> list[int]:
    return [child for child, words in children_of(pid) if "alerts.courier" in words]


def test_a_critical_alert_arrives_by_a_child_of_one_process_and_no_other_loads_apprise(
    start: Start, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    workspace = make_workspace()
    with receiving_alerts() as receiver:
        make_channel(workspace, url=receiver.url(), most_per_hour=1_000)
        rule = make_rule(workspace, Severity.CRITICAL)
        worker, index, beat = start("worker"), start("index"), start("beat")
        until(lambda: courier_of(index.popen.pid), "the courier did not start", within_s=90)
        pids = {"worker": worker.popen.pid, "index": index.popen.pid, "beat": beat.popen.pid}
        before = {name: rss_of(pid) for name, pid in pids.items()}
        took: list[float] = []
        for number in range(EVENTS):
            began, now = time.monotonic(), database_now()
            tell(open_alert(make_alert(rule, f"job-{number}"), now), now)
            receiver.wait_for(number + 1)
            took.append(time.monotonic() - began)
        (courier,) = courier_of(index.popen.pid)
        for process in (worker, beat):
            assert courier_of(process.popen.pid) == []
        grown = {name: rss_of(pid) - before[name] for name, pid in pids.items()}
        assert grown["worker"] < 6 << 20
        size = rss_of(courier)
        index.send(signal.SIGTERM)
        index.popen.wait(60)
        until(lambda: not Path(f"/proc/{courier}").exists(), "the courier outlived its process")
    assert len({one.key for one in receiver.received}) == EVENTS
    assert not AlertMessage.objects.filter(ended_at=None).exists()
    with capsys.disabled():
        p95 = statistics.quantiles(took, n=20)[-1]
        print(  # noqa: T201 — a figure for whoever reads the run
            f"\nevent to message, critical: median {statistics.median(took):.2f} s, p95 {p95:.2f} s,"
            f" load {os.getloadavg()[0]:.1f}; the courier has {size >> 20} MiB, others grew by"
            f" {', '.join(f'{name} {more >> 10} KiB' for name, more in grown.items())}"
        )


@pytest.mark.parametrize("fault", [Killed, Full])
def test_what_is_due_while_the_broker_is_away_arrives_once_when_it_is_back(
    fault: Callable[[redis.Redis], Killed | Full], start: Start, broker: redis.Redis, settings: Any
) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    workspace = make_workspace()
    with receiving_alerts() as receiver:
        make_channel(workspace, url=receiver.url())
        rule = make_rule(workspace, Severity.CRITICAL)
        start("index")
        beat = start("beat")
        broken = fault(broker)
        broken.begin()
        try:
            now = database_now()
            tell(open_alert(make_alert(rule), now), now)
            beat.wait_for_line("bell.broker_away", within_s=60)
        finally:
            broken.end()
        receiver.wait_for(1)
        until(lambda: not AlertMessage.objects.filter(ended_at=None).exists(), "it is not marked")
    assert len(receiver.received) == 1


def test_a_database_that_restarts_while_a_message_is_under_way_doubles_nothing(
    start: Start, settings: Any
) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    workspace = make_workspace()
    is_back = threading.Event()

    def answer(_: Received) -> Reply:
        is_back.wait(10)
        return Reply()

    with receiving_alerts(answer) as receiver:
        make_channel(workspace, url=receiver.url())
        rule = make_rule(workspace, Severity.CRITICAL)
        start("index")
        start("beat")
        now = database_now()
        tell(open_alert(make_alert(rule), now), now)
        receiver.wait_for(1)
        database = servers().postgres
        os.kill(database.pid, signal.SIGQUIT)
        until(lambda: not database.is_alive(), "PostgreSQL did not end")
        connection.close()
        is_back.set()  # the message is taken, and nobody can write it down
        database.start()
        database.wait_until_ready()
        until(lambda: not AlertMessage.objects.filter(ended_at=None).exists(), "it is not marked")
    keys = [one.key for one in receiver.received]
    assert len(set(keys)) == len(keys)
    assert {message.attempts for message in AlertMessage.objects.all()} == {1}


@pytest.mark.django_db(transaction=True)
def test_web_keeps_nothing_of_the_messages_that_it_tests(tmp_path: Path) -> None:
    """Each goes by a child of its own, which ends with it: Apprise alone would be 57 MB."""
    workspace = make_workspace()
    _, token = create_token(workspace, name="tester", role=Role.OPERATOR)
    headers = {"Authorization": f"Bearer {token}"}
    with (
        receiving_alerts() as receiver,
        running_gunicorn(tmp_path, ALLOWED_NETWORKS="127.0.0.0/8") as port,
    ):
        make_channel(workspace, url=receiver.url())
        channels = f"http://127.0.0.1:{port}/api/workspaces/{workspace.name}/alert-channels"
        for _ in range(30):
            assert requests.get(channels, headers=headers, timeout=90).status_code == 200
        web = find_web()
        before = private_bytes(web)
        for _ in range(3):
            told = requests.post(f"{channels}/ops/test", headers=headers, timeout=90).json()
            assert told["delivered"], told
        grown = private_bytes(web) - before
        assert not courier_of(web)
    assert grown < 3 << 20, grown


def find_web() -> int:
    """The process that answers: gunicorn's child."""
    [arbiter] = [child for child, words in children_of(os.getpid()) if "gunicorn" in words]
    [(web, _)] = children_of(arbiter)
    return web


def private_bytes(pid: int) -> int:
    """What is its own, and not shared with files or other processes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kept = [line.split() for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))]
    return sum(int(words[1]) for words in kept) * 1024
