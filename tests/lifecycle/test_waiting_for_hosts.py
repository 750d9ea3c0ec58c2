"""A host that is away costs time and no attempts: its records try again until somebody else does their work."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from connectors.models import Connector, HostBudget
from connectors.reachability import note_success
from connectors.secrets import seal, unseal
from embedded.ports import find_free
from store.errors import DiskFull
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queries.durations import spent_s
from syncjobs.queries.explaining import explain
from syncjobs.queueing.enqueueing import enqueue
from tasks import duties
from tests.hosts.sshd import Sshd
from tests.rows import fill, fresh, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def away(sshd: Sshd, source: Path) -> Connector:
    """Nothing listens at its port."""
    fill(source, {"a.txt": b"x"})
    target = dataclasses.replace(sshd.target(source), port=find_free())
    return make_connector(target)


def come_back(connector: Connector, sshd: Sshd) -> None:
    secret = unseal(connector)
    connector.port = sshd.port
    seal(connector, secret)  # it belongs to the address
    connector.save()


def hourly(connector: Connector) -> SyncJob:
    job = make_job(connector, schedule={"every_s": 3600})
    SyncJob.objects.update(next_run_at=Now() + timedelta(hours=1))
    return fresh(job)


def try_again(record: SyncRecord) -> SyncRecord:
    HostBudget.objects.update(opened_until=None, failures=0)
    SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
    execute(record.pk, Heart("test"))
    return fresh(record)


def pause_s(record: SyncRecord) -> float:
    assert record.not_before is not None
    return (record.not_before - timezone.now()).total_seconds()


def test_item_02_a_host_that_is_away_uses_up_no_attempt(away: Connector, sshd: Sshd) -> None:
    record = run(make_job(away, max_attempts=1))
    pauses = [pause_s(record)]
    for _ in range(5):
        record = try_again(record)
        pauses.append(pause_s(record))
    assert (record.state, record.error_code) == (State.QUEUED, "unreachable")
    assert (record.attempt, record.vain_attempts, record.waits_in_a_row) == (1, 0, 6)
    assert pauses == sorted(pauses)  # it waits longer each time
    assert spent_s(record.pk) == 0  # knocking is no work
    assert record.tries_until is not None
    assert timedelta(hours=23) < record.tries_until - timezone.now() < timedelta(hours=25)
    come_back(away, sshd)
    record = try_again(record)
    assert (record.state, record.attempt, record.files_added) == (State.SUCCEEDED, 1, 1)


def test_item_02_it_starts_at_once_when_the_monitor_sees_the_host_again(away: Connector) -> None:
    record = run(make_job(away))
    for _ in range(6):
        record = try_again(record)
    assert pause_s(record) > 60
    note_success(away)
    duties.watch_hosts("test")
    assert pause_s(fresh(record)) < 6


def test_item_02_the_next_fire_does_its_work(away: Connector) -> None:
    job = hourly(away)
    record = run(job)
    assert record.state == State.QUEUED
    assert record.tries_until == job.next_run_at
    SyncJob.objects.update(next_run_at=Now())
    SyncRecord.objects.update(tries_until=Now())
    duties.dispatch("test")
    ended, queued = fresh(record), SyncRecord.objects.get(state=State.QUEUED)
    assert (ended.state, ended.verdict, ended.error_code) == (
        State.FAILED,
        "unreachable",
        "unreachable",
    )
    assert ended.error == record.error
    assert "its time is over" in ended.events.latest("id").reason
    assert (queued.trigger, queued.waits_in_a_row) == (Trigger.SCHEDULE, 0)
    assert fresh(job).last_error == record.error


def test_item_02_a_fire_that_may_not_be_late_ends_early(away: Connector) -> None:
    job = make_job(away, schedule={"every_s": 86_400}, max_lateness_s=60)
    record = enqueue(job, trigger=Trigger.MANUAL)
    SyncRecord.objects.update(queued_at=F("queued_at") - timedelta(seconds=90))
    execute(record.pk, Heart("test"))
    ended = fresh(record)
    assert (ended.state, ended.error_code) == (State.FAILED, "unreachable")
    assert "its time is over" in ended.events.latest("id").reason


def test_item_02_a_full_disk_uses_up_no_attempt(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise DiskFull

    fill(source, {"a.txt": b"x"})
    monkeypatch.setattr("syncjobs.works.files.work.need_room", full)
    record = run(make_job(make_connector(sshd.target(source)), max_attempts=1))
    record = try_again(try_again(record))
    assert (record.state, record.error_code, record.attempt) == (State.QUEUED, "disk_full", 1)
    monkeypatch.undo()
    assert try_again(record).state == State.SUCCEEDED


def test_item_02_advice_fits_the_state(away: Connector) -> None:
    record = run(hourly(away))
    first, *_ = explain(record).next_steps
    assert first.startswith("Nothing, unless it lasts: it tries again by itself until 2")
    SyncRecord.objects.update(tries_until=Now())
    duties.dispatch("test")
    *_, last = explain(fresh(record)).next_steps
    assert last.startswith("Then run the job again, or wait for its next fire at 2")
    assert not any("by itself" in step for step in explain(fresh(record)).next_steps)
