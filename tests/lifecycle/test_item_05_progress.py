"""What a record tells of its progress, its time and its attempts, over real hosts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from datasets.receipts import Receipts
from farends.errors import ConnectionLost
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queries.durations import read_history
from syncjobs.queries.job_facts import load_facts
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import release
from syncjobs.records.transition import move
from tests.hosts.sshd import Sshd
from tests.rows import fill, fresh, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"{n}.bin": bytes([n]) * 100_000 for n in range(10)})
    return make_job(make_connector(sshd.target(source)))


def test_item_05_a_job_without_a_history_expects_nothing(job: SyncJob) -> None:
    record = run(job)
    assert (record.state, record.expected_duration_s) == (State.SUCCEEDED, None)
    assert record.deadline_s is not None
    assert (record.total_bytes, record.bytes_done) == (1_000_000, 1_000_000)
    for _ in range(2):
        run(job)
    assert run(job).expected_duration_s is not None


def test_item_05_after_a_takeover_the_bar_goes_on(
    job: SyncJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker dies when it has the receipts of some files; what the next one is told then is the sum."""
    record = enqueue(job, trigger=Trigger.MANUAL)
    settle = Receipts.settle

    def settle_and_die(receipts: Receipts, arrived: Any) -> None:
        settle(receipts, arrived[:6])
        raise ConnectionLost("cut")

    with monkeypatch.context() as patched:
        patched.setattr(Receipts, "settle", settle_and_die)
        execute(record.pk, Heart("first"))
    assert fresh(record).state == State.QUEUED
    assert record.percentage > 10
    SyncRecord.objects.update(not_before=None)
    execute(record.pk, Heart("second"))
    assert fresh(record).state == State.SUCCEEDED
    assert (record.current_file_index, record.total_files) == (10, 10)
    assert (record.total_bytes, record.bytes_done) == (1_000_000, 1_000_000)
    assert record.bytes_transferred == 400_000


def test_item_05_time_held_and_between_attempts_is_no_work(job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)

    def pass_time(seconds: int) -> None:
        """Everything in the record's past lies so much further back."""
        earlier = timedelta(seconds=seconds)
        SyncRecord.objects.update(
            started_at=F("started_at") - earlier, claimed_at=F("claimed_at") - earlier
        )

    assert claim(record.pk, "first")
    pass_time(30)
    move(record.pk, Event.RETRY_SCHEDULED, changes={"attempt": 2, "not_before": Now()})
    assert fresh(record).worked_s == pytest.approx(30, abs=5)
    pass_time(5000)  # until its next attempt
    assert claim(record.pk, "second")
    pass_time(20)
    move(record.pk, Event.GUARD_STOPPED, changes={"hold": {"rule": "empty_source", "files": 1}})
    pass_time(90_000)  # until a person came
    assert release(record.pk, by="ada")
    assert claim(record.pk, "third")
    pass_time(10)
    move(record.pk, Event.SUCCEEDED, changes={"attempt": 1})
    assert fresh(record).worked_s == pytest.approx(60, abs=10)
    (past,) = read_history(job.pk, record.mode)
    assert past.duration_s == record.worked_s
    assert load_facts([job])[job.pk].average_s == record.worked_s
