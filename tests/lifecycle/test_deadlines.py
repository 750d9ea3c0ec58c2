"""How long a record may take and is expected to, from its plan, its job's history and its attempts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from events.models import SyncEvent
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.core.deadlines import Past
from syncjobs.core.states import Event, State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queries.durations import read_history, spent_s
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.hosts.sshd import Sshd
from tests.proxy import proxying
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"{n}.txt": b"x" * n for n in range(20)})
    return make_job(make_connector(sshd.target(source)))


def remember(job: SyncJob, durations: Sequence[float], **fields: object) -> None:
    """Records that took so long."""
    now = timezone.now()
    given = {"state": State.SUCCEEDED, "attempt": 1, "total_files": 20} | fields
    for duration_s in durations:
        SyncRecord.objects.create(
            workspace=job.workspace,
            job=job,
            connector=job.connector,
            trigger=Trigger.MANUAL,
            started_at=now - timedelta(seconds=duration_s),
            finished_at=now,
            worked_s=duration_s,
            **given,
        )


def test_the_formula_counts_the_files_of_the_plan(job: SyncJob) -> None:
    record = run(job)
    assert record.deadline_s == pytest.approx(500, abs=30)  # 300 + 20 x 10, and the listing
    again = run(job)
    assert again.deadline_s == pytest.approx(300, abs=30)


def test_the_jobs_own_history_is_what_is_expected(job: SyncJob) -> None:
    remember(job, [900, 1000, 1100])
    record = run(job)
    assert (record.deadline_s, record.expected_duration_s) == (3300, 1000)


def test_records_of_other_kinds_are_no_history(job: SyncJob) -> None:
    for fields in (
        {"state": State.FAILED},
        {"dry_run": True},
        {"mode": SyncMode.FULL},
        {"attempt": 2},
    ):
        remember(job, [900, 1000, 1100], **fields)
    assert read_history(job.pk, SyncMode.INCREMENTAL) == []
    remember(job, [5], state=State.PARTIAL)
    assert read_history(job.pk, SyncMode.INCREMENTAL) == [Past(5, 20)]


def test_a_jobs_own_limit_wins(sshd: Sshd, source: Path) -> None:
    fill(source, {"a.bin": b"x" * 2_000_000})
    with proxying(sshd.port, bytes_per_s=100_000) as proxy:
        target = dataclasses.replace(sshd.target(source), port=proxy.port)
        job = make_job(make_connector(target), timeout_s=2)
        remember(job, [900, 1000, 1100])
        record = run(job)
    assert (record.state, record.verdict) == (State.TIMED_OUT, "deadline")
    assert record.deadline_s == 2
    told = record.events.get(event="deadline_passed").data
    assert (told["rule"], told["by"], told["deadline_s"]) == ("deadline", "worker", 2)
    assert told["worked_s"] >= 2


def test_the_work_of_earlier_attempts_counts_and_the_waiting_does_not(job: SyncJob) -> None:
    SyncJob.objects.update(timeout_s=100)
    record = enqueue(job, trigger=Trigger.MANUAL)
    now = timezone.now()
    # 30 s of work, an hour in the queue, 50 s of work, an hour.
    for began_s, ended_s in ((7280, 7250), (3650, 3600)):
        assert claim(record.pk, "worker") is not None
        move(record.pk, Event.INTERRUPTED)
        claimed, ended = record.events.order_by("-id")[1], record.events.order_by("-id")[0]
        for event, ago_s in ((claimed, began_s), (ended, ended_s)):
            SyncEvent.objects.filter(pk=event.pk).update(at=now - timedelta(seconds=ago_s))
    assert spent_s(record.pk) == pytest.approx(80)
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert record.state == State.SUCCEEDED
    assert record.deadline_s == pytest.approx(20)
