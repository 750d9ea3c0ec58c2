"""`process_due` as cron calls it: a process of its own that syncs what is due, beside whatever else runs."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.db import connection
from django.utils import timezone

from connectors.models import Connector
from syncjobs.core.states import State
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start, environment
from tests.processes.forks import Fork, Forks
from tests.processes.records import SLOW, events_of, owner_pid, slow_job, until_fetching
from tests.proxy import proxying
from tests.rows import digests_below, digests_of, fill, fresh, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


class Call:
    """One call of the command, and what it has written."""

    def __init__(self, process: Fork, out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def wait(self, timeout: float = 60) -> tuple[str, str]:
        """Its standard output and standard error, once it has ended."""
        self.process.wait(timeout)
        return self._out.read_text(), self._err.read_text()


class Cron(Protocol):
    def __call__(self, *words: str) -> Call: ...


@pytest.fixture
def cron(transactional_db: None, forks: Forks, tmp_path: Path) -> Iterator[Cron]:
    """Starts `process_due` as cron would; all end with the test."""
    started: list[Call] = []

    def call(*words: str) -> Call:
        out, err = (tmp_path / f"cron {len(started)}.{name}" for name in ("out", "err"))
        argv = ["manage.py", "process_due", *words]
        started.append(Call(forks.start(argv, environment(), out=out, err=err), out, err))
        return started[-1]

    yield call
    for each in started:
        each.process.kill()
        each.wait()


@pytest.fixture
def connector(sshd: Sshd, source: Path) -> Connector:
    fill(source, {"a.txt": b"one", "b.txt": b"two"})
    return make_connector(sshd.target(source))


def due_job(connector: Connector, name: str, *, due_s_ago: float = 1, **fields: Any) -> SyncJob:
    job = make_job(connector, name=name, schedule={"every_s": 3600}, **fields)
    due = timezone.now() - timedelta(seconds=due_s_ago)
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=due)
    job.refresh_from_db()
    return job


def test_what_is_due_is_synced_in_sequence_by_this_process(
    cron: Cron, connector: Connector, source: Path
) -> None:
    first, second = due_job(connector, "first", due_s_ago=60), due_job(connector, "second")
    later = due_job(connector, "later", due_s_ago=-3600)
    asked = enqueue(make_job(connector, name="asked"), trigger=Trigger.MANUAL)
    process = cron()
    out, err = process.wait()
    assert process.returncode == 0, err
    assert "due: 2 queued" in err
    for job in (first, second, asked.job):
        record = job.records.get()
        assert f"{job.name}: succeeded ({record.pk})" in out, err
        assert (record.state, record.attempt) == (State.SUCCEEDED, 1)
        assert digests_of(job.dataset) == digests_below(source)
    ordered = SyncRecord.objects.order_by("started_at")
    pairs = zip(ordered, list(ordered)[1:], strict=False)
    assert all(one.finished_at <= other.started_at for one, other in pairs)  # type: ignore[operator]
    assert not later.records.exists()
    assert not ProcessSign.objects.exists()  # it has taken its leave
    again = cron()
    assert again.wait()[0] == "Nothing was due.\n"
    assert again.returncode == 0


def test_an_error_of_the_database_keeps_no_other_record_back_and_is_told(
    cron: Cron, connector: Connector
) -> None:
    broken, other = due_job(connector, "broken", due_s_ago=60), due_job(connector, "other")
    with refusing_to_claim(broken):
        process = cron()
        out, err = process.wait()
    assert process.returncode == 1
    assert f"broken: broke off, queued ({broken.records.get().pk})" in err
    assert "canary: no room" in err
    assert other.records.get().state == State.SUCCEEDED
    assert "other: succeeded" in out
    assert "broken" not in out


@contextmanager
def refusing_to_claim(job: SyncJob) -> Iterator[None]:
    """The database does, as a full disk would make it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'canary: no room'; END$$;"
            "CREATE TRIGGER refuse BEFORE UPDATE ON syncjobs_syncrecord FOR EACH ROW"
            f" WHEN (NEW.state = 'running' AND NEW.job_id = '{job.pk}') EXECUTE FUNCTION refuse()"
        )
        try:
            yield
        finally:
            cursor.execute("DROP FUNCTION refuse CASCADE")


def test_a_limit_leaves_the_rest_to_a_later_call(cron: Cron, connector: Connector) -> None:
    for number in range(3):
        due_job(connector, f"job-{number}", due_s_ago=60 - number)
    process = cron("2", "--json")
    told = json.loads(process.wait()[0])
    assert [record["state"] for record in told["records"]] == ["succeeded"] * 2
    assert {record["files_added"] for record in told["records"]} == {2}
    assert SyncRecord.objects.filter(state=State.QUEUED).count() == 1
    rest = cron()
    rest.wait()
    assert rest.returncode == 0
    assert SyncRecord.objects.filter(state=State.SUCCEEDED).count() == 3
    for wrong in ("0", "-1", "many"):
        process = cron(wrong)
        assert process.wait()[0] == ""
        assert process.returncode == 2


def test_one_that_fails_keeps_no_other_back_and_is_told_by_the_exit_status(
    cron: Cron, connector: Connector, sshd: Sshd, tmp_path: Path
) -> None:
    lost = make_connector(sshd.target(tmp_path / "not-there"))
    failing = due_job(lost, "failing", due_s_ago=60)
    due_job(connector, "fine")
    process = cron()
    out, _ = process.wait()
    assert process.returncode == 1
    assert "fine: succeeded" in out
    assert (failing.records.get().state, "failing: failed" in out) == (State.FAILED, True)


def test_sigterm_hands_the_record_in_work_back(cron: Cron, sshd: Sshd, source: Path) -> None:
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        job = slow_job(sshd, source, proxy)
        process, record = until_fetching_by(cron, job)
        process.process.send_signal(signal.SIGTERM)
        process.wait(90)
        assert process.returncode == 75
        assert fresh(record).state == State.QUEUED
        assert events_of(record)[-1] == "interrupted"
        proxy.bytes_per_s = None
        after = cron()
        after.wait()
    assert after.returncode == 0
    assert (fresh(record).state, record.attempt) == (State.SUCCEEDED, 1)
    assert digests_of(job.dataset) == digests_below(source)


def until_fetching_by(cron: Cron, job: SyncJob) -> tuple[Call, SyncRecord]:
    record = enqueue(job, trigger=Trigger.MANUAL)
    process = cron()
    until_fetching(record)
    assert owner_pid(record) == process.process.pid
    return process, record


def test_what_a_killed_one_left_is_taken_back_where_nobody_sweeps(
    cron: Cron, sshd: Sshd, source: Path
) -> None:
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        job = slow_job(sshd, source, proxy)
        process, record = until_fetching_by(cron, job)
        process.process.kill()
        process.wait()
        proxy.bytes_per_s = None

        def is_synced() -> bool:
            cron().wait()
            return fresh(record).state == State.SUCCEEDED

        until(is_synced, "nobody took it back", within_s=60)
    assert "lease_expired" in events_of(record)
    assert digests_of(job.dataset) == digests_below(source)


def test_beside_workers_a_beat_and_each_other_each_record_is_worked_on_once(
    cron: Cron, start: Start, connector: Connector
) -> None:
    start("worker")
    start("beat")
    jobs = [due_job(connector, f"job-{number}") for number in range(12)]
    calls = [cron(), cron()]
    for process in calls:
        process.wait(90)
        assert process.returncode == 0
    until(
        lambda: SyncRecord.objects.filter(state=State.SUCCEEDED).count() == len(jobs),
        "not all were synced",
    )
    for job in jobs:
        record = job.records.get()
        assert (events_of(record).count("claimed"), record.dataset_version) == (1, 1)
