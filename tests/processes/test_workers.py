"""Workers and beats as processes: killed, stopped, drained, with the broker's memory taken away."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.db.models import F
from django.utils import timezone

from datasets.models import Version
from syncjobs.core.states import State
from syncjobs.core.watching import RING_AGAIN_S
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tasks.bells import ring_waiting
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.records import (
    FILES,
    SLOW,
    events_of,
    owner_pid,
    slow_job,
    until_fetching,
    until_final,
)
from tests.proxy import proxying
from tests.rows import digests_below, digests_of, fill, fresh, make_connector, make_job

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_q01_p8_a_killed_workers_record_is_taken_over_and_completes_once(
    start: Start, sshd: Sshd, source: Path
) -> None:
    workers = [start("worker"), start("worker")]
    start("beat")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = until_fetching(enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL))
        victim = next(one for one in workers if one.popen.pid == owner_pid(record))
        first_token = record.token
        victim.send(signal.SIGKILL)
        killed_at = timezone.now()
        proxy.bytes_per_s = None
        until_final(record)
    taken_over = record.events.filter(event="claimed").order_by("id")[1]
    assert (taken_over.at - killed_at).total_seconds() < 60
    assert (record.state, record.attempt, record.token > first_token) == (State.SUCCEEDED, 1, True)
    assert record.files_added == len(FILES)
    assert Version.objects.count() == 1
    assert digests_of(record.job.dataset) == digests_below(source)
    assert events_of(record) == ["claimed", "lease_expired", "claimed", "succeeded"]


def test_q02_a_worker_that_wakes_from_a_long_stop_writes_nothing(
    start: Start, sshd: Sshd, source: Path
) -> None:
    """SIGSTOP past the lease, then SIGCONT: the zombie finds its token outdated."""
    workers = [start("worker"), start("worker")]
    start("beat")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = until_fetching(enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL))
        zombie = next(one for one in workers if one.popen.pid == owner_pid(record))
        zombie.send(signal.SIGSTOP)
        proxy.bytes_per_s = None
        until_final(record)
        events = record.events.count()
        zombie.send(signal.SIGCONT)
        zombie.wait_for_line("record.lease_lost")
    assert fresh(record).state == State.SUCCEEDED
    assert record.events.count() == events
    assert Version.objects.count() == 1
    assert digests_of(record.job.dataset) == digests_below(source)


def test_a_drained_worker_hands_its_record_over(start: Start, sshd: Sshd, source: Path) -> None:
    first = start("worker")
    start("beat")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = until_fetching(enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL))
        first.send(signal.SIGTERM)
        first.popen.wait(90)
        assert fresh(record).state == State.QUEUED
        proxy.bytes_per_s = None
        start("worker")
        until_final(record)
    assert (record.state, record.attempt, record.crash_count) == (State.SUCCEEDED, 1, 0)
    assert digests_of(record.job.dataset) == digests_below(source)


def test_a_cancel_reaches_a_running_record(start: Start, sshd: Sshd, source: Path) -> None:
    start("worker")
    start("beat")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = until_fetching(enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL))
        cancel(record.pk, by="a person")
        until_final(record, within_s=10)
    assert record.state == State.CANCELLED
    assert not Version.objects.exists()


def test_q04_p10_the_broker_may_forget_everything_between_bell_and_claim(
    start: Start, sshd: Sshd, source: Path, broker: redis.Redis
) -> None:
    fill(source, {"a.txt": b"x"})
    job = make_job(make_connector(sshd.target(source)), schedule={"every_s": 3600})
    dispatch_due()
    assert ring_waiting() == 1  # rung while nobody listens
    broker.flushall()
    # So long ago that somebody must have answered.
    SyncRecord.objects.update(rung_at=F("rung_at") - timedelta(seconds=RING_AGAIN_S))
    start("worker")
    start("beat")
    record = SyncRecord.objects.get(job=job)
    assert until_final(record).state == State.SUCCEEDED
