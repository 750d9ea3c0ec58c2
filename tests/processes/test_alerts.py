"""Alerts on real processes: beat notices what is due, the process of the queue `alerts` sends it by a child of its own."""

from __future__ import annotations

import os
import resource
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

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
from tests.hosts.alert_receiver import receiving_alerts
from tests.processes.conftest import Start
from tests.processes.test_index_worker import children_of
from tests.waiting import until
from timing.clock import database_now

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
