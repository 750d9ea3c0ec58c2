"""A worker without file descriptors, and one that the kernel kills for its memory."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
from functools import partial
from pathlib import Path

import pytest

from syncjobs.core.retries import CRASHES_MAX
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Process, Start
from tests.processes.records import (
    SLOW,
    events_of,
    owner_pid,
    slow_job,
    until_fetching,
    until_final,
)
from tests.proxy import proxying
from tests.rows import digests_below, digests_of, fill, fresh, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("spare", [2, 3])
def test_d06_a_worker_out_of_file_descriptors_fails_cleanly_and_goes_on_when_it_has_some(
    spare: int, start: Start, sshd: Sshd, source: Path
) -> None:
    """It begins, and finds none left for its sessions, the far end or the store."""
    fill(source, {f"{n}.bin": os.urandom(100_000) for n in range(40)})
    connector = make_connector(sshd.target(source))
    worker = start("worker")
    start("beat")
    until_final(enqueue(make_job(connector), trigger=Trigger.MANUAL))  # all that is opened once
    pid = worker.popen.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    limit = len(list(Path(f"/proc/{pid}/fd").iterdir())) + spare
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, most))
    record = enqueue(make_job(connector), trigger=Trigger.MANUAL)
    until(
        lambda: len(events_of(record)) > 1,
        "the worker has file descriptors enough",
    )
    assert "succeeded" not in events_of(record)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    until_final(record)
    assert record.state == State.SUCCEEDED
    assert digests_of(record.job.dataset) == digests_below(source)
    assert worker.popen.poll() is None


def test_d07_a_record_that_costs_three_workers_is_quarantined_and_its_sibling_recovers(
    start: Start, sshd: Sshd, source: Path, tmp_path: Path
) -> None:
    """As the kernel does it: SIGKILL, whenever the record is at work."""
    poison = tmp_path / "poison"
    poison.mkdir()
    fill(poison, {"bomb.bin": os.urandom(5_000_000)})
    start("beat")
    with (
        proxying(sshd.port, bytes_per_s=SLOW) as slow,
        proxying(sshd.port, bytes_per_s=SLOW) as proxy,
    ):
        target = dataclasses.replace(sshd.target(poison), port=slow.port)
        bad = enqueue(make_job(make_connector(target)), trigger=Trigger.MANUAL)
        sibling = enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL)
        for death in range(CRASHES_MAX):
            worker = start("worker")
            until(partial(has, worker, bad), "the record was not taken over")
            if death == 0:
                until_fetching(sibling)
            else:  # it shares its second worker with the bad one, and is done before that dies too
                until_final(sibling)
            worker.send(signal.SIGKILL)
            worker.popen.wait(90)
            proxy.bytes_per_s = None
        last = start("worker")
        until_final(bad)
    assert (bad.state, bad.error_code, bad.verdict) == (State.FAILED, "quarantined", "quarantined")
    assert events_of(bad) == ["claimed", "lease_expired"] * (CRASHES_MAX - 1) + [
        "claimed",
        "quarantined",
    ]
    evidence = [
        event.data for event in bad.events.filter(event__in=["lease_expired", "quarantined"])
    ]
    assert [said["crashes"] for said in evidence] == [1, 2, 3]
    assert len({said["owner"] for said in evidence}) == CRASHES_MAX
    assert all(said["heartbeat_at"] for said in evidence)
    assert sibling.state == State.SUCCEEDED
    assert digests_of(sibling.job.dataset) == digests_below(source)
    assert last.popen.poll() is None
    assert not SyncRecord.objects.filter(state__in=[State.RUNNING, State.QUEUED]).exists()


def has(worker: Process, record: SyncRecord) -> bool:
    return fresh(record).state == State.RUNNING and owner_pid(record) == worker.popen.pid
