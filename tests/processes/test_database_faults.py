"""PostgreSQL restarts, connections break, an answer is lost: no half state, and nobody needs a restart."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from datasets.models import Version
from embedded.ports import find_free
from syncjobs.core.states import State
from syncjobs.models import SyncItem, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.lost_commit import losing_commit
from tests.processes.records import (
    FILES,
    SLOW,
    events_of,
    slow_job,
    until_fetching,
    until_final,
)
from tests.proxy import proxying
from tests.rows import digests_below, digests_of, fill, make_connector, make_job
from tests.servers import servers
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def crashes_and_is_away_for_two_leases() -> None:
    """Nothing is written down at the end, and what was committed is found in the log."""
    database = servers().postgres
    os.kill(database.pid, signal.SIGQUIT)
    until(lambda: not database.is_alive(), "PostgreSQL did not end")
    connection.close()
    back_at = time.monotonic() + 8
    until(lambda: time.monotonic() > back_at, "time stands still")
    database.start()
    database.wait_until_ready()


def cuts_every_connection() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        (count,) = cursor.fetchone()
    assert count > 2  # beat's, the worker's, its heartbeat's


@pytest.mark.parametrize("hurt", [crashes_and_is_away_for_two_leases, cuts_every_connection])
def test_q05_records_survive_when_the_database(
    hurt: Callable[[], None], start: Start, sshd: Sshd, source: Path
) -> None:
    worker, beat = start("worker"), start("beat")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        jobs = [slow_job(sshd, source, proxy) for _ in range(2)]
        records = [enqueue(job, trigger=Trigger.MANUAL) for job in jobs]
        for record in records:
            until_fetching(record)
        hurt()
        assert not Version.objects.exists()
        proxy.bytes_per_s = None
        for record in records:
            until_final(record)
        # And what comes later is served by the same processes.
        fill(source, {"later.txt": b"x"})
        later = until_final(enqueue(jobs[0], trigger=Trigger.MANUAL))
    for record in records:
        assert (record.state, record.crash_count, record.attempt) == (State.SUCCEEDED, 0, 1)
        assert (record.files_added, record.dataset_version) == (len(FILES), 1)
        assert set(events_of(record)) <= {"claimed", "interrupted", "succeeded"}
        held = digests_of(record.job.dataset, 1)
        assert held == {
            name: digest for name, digest in digests_below(source).items() if name in FILES
        }
    assert (later.state, later.files_added) == (State.SUCCEEDED, 1)
    assert (worker.popen.poll(), beat.popen.poll()) == (None, None)


def test_q05_a_commit_whose_answer_is_lost_counts_once(
    start: Start, sshd: Sshd, source: Path
) -> None:
    """The worker can't know whether its version is there; it looks again and finds it."""
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)))
    port = int(connection.settings_dict["PORT"])
    with losing_commit(port, b"INSERT INTO datasets_version") as proxy:
        start("worker", database_port=proxy.port)
        start("beat")
        record = enqueue(job, trigger=Trigger.MANUAL)
        until(proxy.lost.is_set, "no version was published")
        until_final(record)
    assert record.state == State.SUCCEEDED
    assert (record.files_added, record.dataset_version) == (len(FILES), 1)
    assert events_of(record) == ["claimed", "interrupted", "claimed", "succeeded"]
    assert Version.objects.count() == 1
    assert SyncItem.objects.filter(record=record, action="added").count() == len(FILES)
    assert digests_of(job.dataset) == digests_below(source)


def test_q05_a_beat_that_starts_while_the_database_is_away_waits_for_it(
    start: Start, sshd: Sshd, source: Path
) -> None:
    fill(source, {"a.txt": b"x"})
    job = make_job(make_connector(sshd.target(source)), schedule={"every_s": 3600})
    start("worker")
    beat = start("beat", database_port=find_free())
    beat.wait_for_line("beat.chores_failed")
    until(lambda: "beat.duty_failed" in beat.log.read_text(), "it did not tick")
    assert beat.popen.poll() is None
    start("beat")
    until(lambda: SyncRecord.objects.filter(job=job, state=State.SUCCEEDED).exists(), "no sync")
