"""Whose turn it is among due jobs, and what happens to those whose records or connectors stand in the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from connectors.models import Connector, ConnectorStatus
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import Dependency, SyncJob, SyncRecord
from syncjobs.queueing import dispatching
from syncjobs.queueing.dispatching import Dispatched, dispatch_due
from syncjobs.queueing.ringing import take_unrung
from tests.rows import make_job
from tests.scale.jobs import make_many_jobs
from timing.misfires import decide_service

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = {"every_s": 60}


def hourly(number: int) -> dict[str, Any]:
    return {"schedule": {"every_s": 3600}}


def make_due(*jobs: SyncJob, ago_s: float = 5) -> None:
    due = timezone.now() - timedelta(seconds=ago_s)
    SyncJob.objects.filter(pk__in=[job.pk for job in jobs]).update(next_run_at=due)


def test_q10_a_crowd_in_one_workspace_keeps_no_other_waiting() -> None:
    """4,000 due at the full hour, and 20 elsewhere: the first batch and the first bells have all of the 20."""
    make_many_jobs(4_000, prefix="crowd", fields=hourly)
    few = make_many_jobs(20, prefix="few", fields=hourly)
    due = timezone.now().replace(microsecond=0)
    SyncJob.objects.update(next_run_at=due)
    assert dispatch_due(limit=200).queued == 200
    theirs = SyncRecord.objects.filter(job__in=few)
    assert theirs.count() == len(few)
    for _ in range(4):
        dispatch_due(limit=500)
    waiting = set(theirs.values_list("pk", flat=True))
    while waiting:  # of each ring half, or one less where it is odd: five may run at once
        rung = set(take_unrung(40))
        share = len(rung & waiting)
        assert share >= min(len(waiting), len(rung) // 2) > 0
        waiting -= rung


def test_the_longest_due_of_a_workspace_comes_first(connector: Connector) -> None:
    jobs = [make_job(connector, schedule=MINUTE) for _ in range(5)]
    for number, job in enumerate(jobs):
        make_due(job, ago_s=10 + number)
    assert dispatch_due(limit=2).queued == 2
    assert set(SyncRecord.objects.values_list("job_id", flat=True)) == {jobs[4].pk, jobs[3].pk}


def test_the_rest_comes_when_more_are_due_than_are_looked_at(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "LOOK", 3)
    jobs = [make_job(connector, schedule=MINUTE) for _ in range(8)]
    make_due(*jobs)
    assert [dispatch_due(limit=4).queued for _ in range(4)] == [3, 3, 2, 0]


def test_jobs_of_paused_connectors_stand_in_nobodys_way(connector: Connector) -> None:
    """They stay due, however many there are, and are passed over by the index alone."""
    make_many_jobs(3_000, prefix="paused", fields=hourly)
    asleep = Connector.objects.exclude(pk=connector.pk)
    asleep.update(status=ConnectorStatus.PAUSED)
    SyncJob.objects.update(next_run_at=timezone.now() - timedelta(hours=1))
    job = make_job(connector, schedule=MINUTE)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE syncjobs_syncjob")
    assert dispatch_due(limit=10).queued == 1
    assert SyncRecord.objects.get().job == job
    with connection.cursor() as cursor:
        words = {"now": None, "active": "active", "look": 50_000, "spare": 4, "limit": 10}
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {dispatching._TAKE}", words)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Only Scan using job_due" in plan
    assert "Seq Scan on syncjobs_syncjob" not in plan
    asleep.update(status=ConnectorStatus.ACTIVE)
    assert dispatch_due(limit=10).queued == 10


@pytest.mark.parametrize("overlap", ["skip", "cancel_older"])
def test_a_fire_waits_while_the_older_record_is_moving(connector: Connector, overlap: str) -> None:
    """Its row is locked by whoever moves it: the fire is neither lost nor let past."""
    job = make_job(connector, schedule=MINUTE, overlap=overlap)
    dispatch_due()
    older = SyncRecord.objects.get()
    assert claim(older.pk, "worker") is not None
    make_due(job)
    with transaction.atomic():
        SyncRecord.objects.select_for_update().get(pk=older.pk)
        with ThreadPoolExecutor(1) as pool:

            def elsewhere() -> Dispatched:
                try:
                    return dispatch_due()
                finally:
                    connection.close()

            served = pool.submit(elsewhere).result()
    if overlap == "skip":  # nothing of the record is to be written
        assert served == Dispatched(0, 0, 1)
        return
    assert served == Dispatched(0, 0)
    older.refresh_from_db()
    assert older.cancel_asked_at is None
    assert dispatch_due() == Dispatched(1, 0)
    older.refresh_from_db()
    assert older.cancel_asked_by == "a newer fire"


def test_a_followers_marks_are_kept_while_its_fire_stays_due(connector: Connector) -> None:
    """Its queued record is claimed between the insert that met it and the look for it."""
    parent = make_job(connector, name="extract")
    follower = make_job(connector, schedule={"after": [parent.name]})
    marks = Dependency.objects.filter(job=follower)

    def parent_ends() -> None:
        ended = SyncRecord.objects.create(
            workspace=parent.workspace,
            job=parent,
            connector=connector,
            trigger="manual",
            state=State.SUCCEEDED,
            finished_at=timezone.now(),
        )
        marks.update(record_id=ended.pk, state=State.SUCCEEDED, ended_at=timezone.now())
        make_due(follower)

    parent_ends()
    assert dispatch_due().queued == 1
    first = follower.records.get()
    parent_ends()
    with ThreadPoolExecutor(1) as pool:

        def claim_first() -> None:
            try:
                assert claim(first.pk, "another") is not None
            finally:
                connection.close()

        def between(execute: Any, sql: str, *rest: Any) -> Any:
            result = execute(sql, *rest)
            if sql.startswith("INSERT INTO syncjobs_syncrecord"):
                pool.submit(claim_first).result()
            return result

        with connection.execute_wrapper(between):
            assert dispatch_due() == Dispatched(0, 0)
    assert marks.exclude(record_id=None).count() == 1
    assert dispatch_due().queued == 1
    assert follower.records.count() == 2


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, None])
def test_a_follower_that_nobody_looked_at_for_long_does_not_stop_the_others(
    connector: Connector, state: State | None
) -> None:
    """Too late by its own rules, whatever its parents did: told once, or not at all where it was not due."""
    parent, other = make_job(connector, name="extract"), make_job(connector, schedule=MINUTE)
    follower = make_job(connector, schedule={"after": [parent.name]}, max_lateness_s=60)
    if state is not None:
        record = SyncRecord.objects.create(
            workspace=parent.workspace,
            job=parent,
            connector=connector,
            trigger="manual",
            state=state,
            finished_at=timezone.now(),
        )
        Dependency.objects.update(record_id=record.pk, state=state, ended_at=timezone.now())
    make_due(follower, ago_s=600)
    dispatch_due()
    assert other.records.get().state == State.QUEUED
    told = list(follower.records.values_list("state", "verdict"))
    assert (
        told
        == {
            State.SUCCEEDED: [(State.CANCELLED, "skipped.late")],
            State.FAILED: [(State.CANCELLED, "skipped.parent")],
            None: [],
        }[state]
    )
    follower.refresh_from_db()
    assert follower.next_run_at is None
    assert not follower.parents.exclude(record_id=None).exists()


def test_an_interval_from_the_end_goes_on_where_its_fire_was_skipped(connector: Connector) -> None:
    schedule = {"every_s": 600, "counted_from": "end"}
    job = make_job(connector, schedule=schedule, misfire="skip")
    make_due(job, ago_s=590)
    assert dispatch_due() == Dispatched(0, 0, 1)
    job.refresh_from_db()
    assert job.next_run_at is not None
    assert job.next_run_at > timezone.now() + timedelta(seconds=500)
    make_due(job)
    assert dispatch_due() == Dispatched(1, 0)
    job.refresh_from_db()
    assert job.next_run_at is None  # the record's end tells


def test_a_record_of_the_very_fire_goes_before_the_one_that_waits(connector: Connector) -> None:
    job = make_job(connector, schedule=MINUTE)
    make_due(job)
    job.refresh_from_db()
    first = job.next_run_at
    dispatch_due()
    assert claim(SyncRecord.objects.get().pk, "worker") is not None
    make_due(job)
    dispatch_due()
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=first)
    assert dispatch_due() == Dispatched(0, 1)
    assert not SyncRecord.objects.filter(events__event=Event.COALESCED).exists()


def test_an_error_of_ours_in_one_schedule_stops_its_own_job_only(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_job(connector, schedule={"every_s": 77})
    fine = make_job(connector, schedule=MINUTE)

    def decide_or_fail(schedule: Any, *rest: Any) -> Any:
        if schedule.every_s == 77:
            raise IndexError("list index out of range")
        return decide_service(schedule, *rest)

    monkeypatch.setattr(f"{dispatching.__name__}.decide_service", decide_or_fail)
    assert dispatch_due() == Dispatched(2, 0)
    for job in (broken, fine):
        job.refresh_from_db()
    assert broken.next_run_at is None
    assert "error of ours: IndexError" in broken.last_error
    assert fine.next_run_at is not None
