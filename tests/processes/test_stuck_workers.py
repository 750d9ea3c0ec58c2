"""Workers that are dead, stopped or hang: what was asked of their records happens all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from datasets.models import Version
from datasets.store import open_store
from store.partials import WORTH_KEEPING_BYTES
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queries.rules import stuck_limits
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tasks.duties import TICK_S
from tests.hosts.sshd import Sshd
from tests.partials import let_go, partial_of
from tests.processes.conftest import Start
from tests.processes.records import SLOW, slow_job, until_fetching
from tests.proxy import Proxy, proxying
from tests.rows import fill, fresh, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

PROMISE_S = 10
# However slow the machine is, no lease runs out: what ends the record is that its cancel was not answered.
PATIENT = {"SYNC_LEASE_SECONDS": "3600", "SYNC_HEARTBEAT_INTERVAL_SECONDS": "5"}


def slow_record(sshd: Sshd, source: Path, proxy: Proxy) -> SyncRecord:
    return until_fetching(enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL))


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_cancel_does_not_need_the_worker(
    start: Start, sshd: Sshd, source: Path, number: signal.Signals
) -> None:
    worker = start("worker", database_port=None, **PATIENT)
    start("beat", database_port=None, **PATIENT)
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = slow_record(sshd, source, proxy)
        worker.send(number)
        cancel(record.pk, by="a person")
        until(lambda: fresh(record).state in FINAL, "nobody ended it", within_s=120)
        assert (record.state, record.verdict) == (State.CANCELLED, "cancel.unanswered")
        events = record.events.count()
        if number is signal.SIGSTOP:
            worker.send(signal.SIGCONT)
            worker.wait_for_line("record.lease_lost")
    assert (fresh(record).state, record.events.count()) == (State.CANCELLED, events)
    assert not Version.objects.exists()


def test_a_cancel_that_nobody_answers_is_kept_within_the_promise() -> None:
    """The seconds that it takes are those of its rule and of beat's ticks, and no test's."""
    assert stuck_limits().cancel_s + 2 * TICK_S < PROMISE_S


def test_beat_alone_takes_back_what_dead_workers_leave(
    start: Start, sshd: Sshd, source: Path
) -> None:
    worker = start("worker")
    start("beat")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = slow_record(sshd, source, proxy)
        worker.send(signal.SIGKILL)
        until(lambda: fresh(record).state == State.QUEUED, "nobody took it back", within_s=60)
    assert record.verdict == "lease.expired"
    assert record.events.order_by("-id")[0].data["by"] == "reaper"


def test_a_worker_with_a_thread_that_hangs_hands_over_and_ends(
    start: Start, sshd: Sshd, source: Path, tmp_path: Path
) -> None:
    """What hangs is taken back; the other record of the process is drained; both go on elsewhere."""
    fill(source, {"large.bin": os.urandom(WORTH_KEEPING_BYTES + 1000)})
    job = make_job(make_connector(sshd.target(source)))
    SyncJob.objects.filter(pk=job.pk).update(max_attempts=5)
    store = open_store(job.workspace_id)
    store.prepare()
    fifo = partial_of(job, store)
    os.mkfifo(fifo)
    other_source = tmp_path / "other"
    other_source.mkdir()
    impatient = {"SYNC_STALL_SECONDS": "3", "SYNC_HUNG_SECONDS": "2"}
    worker = start("worker", database_port=None, **impatient)
    start("beat", database_port=None, **impatient)
    try:
        with proxying(sshd.port, bytes_per_s=50_000) as proxy:
            other = slow_record(sshd, other_source, proxy)
            hanging = enqueue(job, trigger=Trigger.MANUAL)
            worker.wait_for_line("worker.thread_hangs")
            until(lambda: worker.popen.poll() is not None, "the worker stayed", within_s=60)
            assert worker.popen.returncode == 75
            assert fresh(other).state == State.QUEUED
            assert (other.attempt, other.crash_count) == (1, 0)
            assert (fresh(hanging).state, hanging.verdict) == (State.QUEUED, "stuck.no_progress")
            let_go(fifo)
            fifo.unlink(missing_ok=True)
            proxy.bytes_per_s = None
            start("worker")  # as its supervisor would
            until(
                lambda: {fresh(other).state, fresh(hanging).state} == {State.SUCCEEDED},
                "they did not go on",
                within_s=60,
            )
    finally:
        if fifo.exists():
            let_go(fifo)
