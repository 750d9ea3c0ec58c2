"""What workers learn of a host from real attempts, and when a job or a record gives up."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils import timezone

from connectors.models import Connector, HostBudget
from connectors.opening import test_connector as probe_connector
from embedded.ports import find_free
from farends.budget import FAILURES_OPEN
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.claims.reaping import reap
from syncjobs.configuration.jobs import resume_job, save_job
from syncjobs.core.retries import CRASHES_MAX
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.giving_up import give_up
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.hosts.sshd import Sshd
from tests.proxy import Weather, proxying
from tests.rows import fill, fresh, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(record: SyncRecord) -> None:
    """As if the time that it waits for had come."""
    SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
    record.refresh_from_db()


def try_again(record: SyncRecord) -> SyncRecord:
    at_once(record)
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    return record


def budget_of(connector: Connector) -> HostBudget:
    return HostBudget.objects.get(workspace=connector.workspace, address=connector.address)


def test_a_dead_host_is_left_alone_until_one_record_finds_it_back(sshd: Sshd, source: Path) -> None:
    fill(source, {"a.txt": b"x"})
    with proxying(sshd.port) as proxy:
        target = dataclasses.replace(sshd.target(source), port=proxy.port)
        connector = make_connector(target)
        jobs = [make_job(connector, max_attempts=99) for _ in range(2)]
        record, other = (enqueue(job, trigger=Trigger.MANUAL) for job in jobs)
        proxy.weather = Weather(refusing=True)
        for _ in range(FAILURES_OPEN):
            try_again(record)
        assert record.state == State.QUEUED
        assert record.error_code in ("unreachable", "connection_lost")
        assert budget_of(connector).opened_until is not None

        token = record.token
        try_again(record)  # nobody calls
        assert record.token == token
        assert "to be back: 5 calls in a row failed; until" in record.waiting_for
        assert claim(other.pk, "worker") is None

        proxy.weather = Weather()
        HostBudget.objects.update(opened_until=timezone.now())
        assert try_again(record).state == State.SUCCEEDED
        assert budget_of(connector).failures == 0
        assert try_again(other).state == State.SUCCEEDED


def test_a_connection_test_that_works_closes_the_circuit(sshd: Sshd, source: Path) -> None:
    connector = make_connector(sshd.target(source))
    HostBudget.objects.create(
        workspace=connector.workspace,
        address=connector.address,
        failures=9,
        opened_until=timezone.now() + timedelta(minutes=9),
    )
    probe_connector(connector)
    assert budget_of(connector).opened_until is None


def test_a_host_that_refuses_the_log_in_is_there(sshd: Sshd, source: Path) -> None:
    target = sshd.target(source)
    stranger = dataclasses.replace(target.options, username="nobody-here")
    connector = make_connector(dataclasses.replace(target, options=stranger))
    HostBudget.objects.create(
        workspace=connector.workspace, address=connector.address, failures=FAILURES_OPEN - 1
    )
    record = run(make_job(connector))
    assert record.error_code == "auth_refused"
    assert budget_of(connector).failures == 0


def test_h18_too_many_requests_hold_every_record_of_the_host() -> None:
    def throttle(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"", "Retry-After: 3600", status="429 Too Many Requests")

    with scripted_http(throttle) as host:
        connector = make_connector(host.target(), kind="http")
        first = run(make_job(connector))
        asked = len(host.requests)
        second = run(make_job(connector))
        assert len(host.requests) == asked
    assert (first.state, first.error_code) == (State.QUEUED, "throttled")
    assert first.not_before is not None
    assert first.not_before - timezone.now() > timedelta(minutes=59)
    assert "asked for a pause" in second.waiting_for
    assert budget_of(connector).max_running == 1


def test_attempts_that_get_nowhere_are_counted(sshd: Sshd, source: Path) -> None:
    fill(source, {"large.bin": os.urandom(1 << 20)})
    with proxying(sshd.port) as proxy:
        proxy.weather = Weather(cut_after_bytes=2 << 10)
        target = dataclasses.replace(sshd.target(source), port=proxy.port)
        record = run(make_job(make_connector(target), max_attempts=2))
        assert (record.state, record.vain_attempts) == (State.QUEUED, 1)
        try_again(record)
    assert record.state == State.FAILED
    assert "2 in a row got no further" in record.events.latest("id").reason


@pytest.fixture
def broken(sshd: Sshd, source: Path) -> SyncJob:
    """A job whose root is not there."""
    connector = make_connector(sshd.target(source / "missing"))
    return make_job(connector, schedule={"every_s": 3600}, pause_after_failures=3)


def due_again(job: SyncJob) -> int:
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=Now())
    return dispatch_due().queued


def test_a_job_that_keeps_failing_for_good_pauses_and_says_so(broken: SyncJob) -> None:
    records = [run(broken) for _ in range(3)]
    assert [record.state for record in records] == [State.FAILED] * 3
    assert fresh(broken).paused_at is not None
    assert broken.paused_reason.startswith("3 records in a row failed; the last: ")
    assert "the job is paused: 3 records" in records[-1].events.latest("id").reason
    assert "paused" not in records[-2].events.latest("id").reason
    assert due_again(broken) == 0


def test_a_paused_job_goes_on_when_resumed_and_serves_what_it_missed(broken: SyncJob) -> None:
    for _ in range(3):
        run(broken)
    assert due_again(broken) == 0
    assert resume_job(broken)
    assert not resume_job(broken)
    assert dispatch_due().queued == 1


def test_a_sync_by_hand_that_works_ends_the_pause(broken: SyncJob, source: Path) -> None:
    for _ in range(3):
        run(broken)
    fill(source / "missing", {"a.txt": b"x"})
    assert run(broken).state == State.SUCCEEDED
    assert (fresh(broken).paused_at, broken.failures_in_a_row) == (None, 0)


def test_disabling_and_enabling_ends_the_pause(broken: SyncJob) -> None:
    for _ in range(3):
        run(broken)
    fresh(broken).enabled = False
    save_job(broken)
    broken.enabled = True
    save_job(broken)
    assert fresh(broken).paused_at is None


@pytest.mark.parametrize("fields", [{"pause_after_failures": None}, {}])
def test_failures_that_pass_by_themselves_pause_nothing(
    sshd: Sshd, source: Path, fields: dict[str, Any]
) -> None:
    target = dataclasses.replace(sshd.target(source), port=find_free())
    job = make_job(make_connector(target), max_attempts=1, **fields)
    for _ in range(FAILURES_OPEN):
        SyncRecord.objects.update(tries_until=Now())
        give_up()
        assert run(job).state == State.QUEUED
    assert SyncRecord.objects.filter(state=State.FAILED).count() == FAILURES_OPEN - 1
    assert (fresh(job).paused_at, job.failures_in_a_row) == (None, 0)


def test_a_dry_run_that_fails_counts_for_nothing(broken: SyncJob) -> None:
    run(broken, dry_run=True)
    assert fresh(broken).failures_in_a_row == 0


def test_d07_a_quarantined_record_pauses_its_job_at_once(sshd: Sshd, source: Path) -> None:
    job = make_job(make_connector(sshd.target(source)))
    record = enqueue(job, trigger=Trigger.MANUAL)
    for _ in range(CRASHES_MAX):
        at_once(record)
        assert claim(record.pk, "worker") is not None
        SyncRecord.objects.filter(pk=record.pk).update(
            lease_expires_at=Now() - timedelta(seconds=1)
        )
        assert reap(young_s=0) == 1
    record.refresh_from_db()
    assert (record.state, record.error_code) == (State.FAILED, "quarantined")
    assert "quarantined: its worker died 3 times" in fresh(job).paused_reason


def test_q05_a_hint_that_cannot_be_kept_costs_the_attempt_nothing(sshd: Sshd, source: Path) -> None:
    connector = make_connector(sshd.target(source))
    with proxying(sshd.port) as proxy:
        proxy.weather = Weather(refusing=True)
        target = dataclasses.replace(sshd.target(source), port=proxy.port)
        record = enqueue(make_job(make_connector(target)), trigger=Trigger.MANUAL)

        def refuse(execute_: Any, sql: str, *rest: Any) -> Any:
            if "connectors_hostbudget" in sql and sql.startswith("INSERT"):
                raise OperationalError("the server closed the connection")
            return execute_(sql, *rest)

        with connection.execute_wrapper(refuse):
            execute(record.pk, Heart("test"))
    record.refresh_from_db()
    # A refused call costs no attempt; one that is cut at once, as a proxy's is now and then, has reached somebody.
    assert (record.state, record.crash_count) == (State.QUEUED, 0)
    assert record.attempt == (1 if record.error_code == "unreachable" else 2)
    assert not HostBudget.objects.filter(workspace=connector.workspace).exists()
