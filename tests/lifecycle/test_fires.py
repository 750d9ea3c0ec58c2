"""What becomes of fires: misfire policies, overlap, jitter, and jobs that run after others."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from connectors.models import Connector
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import Backfill, Dependency, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.dispatching import Dispatched, dispatch_due
from syncjobs.queueing.enqueueing import JobBusy, enqueue
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = {"every_s": 60}


def make_missed(connector: Connector, minutes: int = 10, **fields: Any) -> tuple[SyncJob, datetime]:
    """A job whose first fire was so long ago, and nobody looked since."""
    job = make_job(connector, schedule=MINUTE, **fields)
    due = timezone.now() - timedelta(minutes=minutes, seconds=5)
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=due)
    return job, due


def skipped(job: SyncJob) -> list[SyncRecord]:
    return list(job.records.filter(verdict__startswith="skipped.").order_by("scheduled_for"))


def queued(job: SyncJob) -> SyncRecord:
    return job.records.get(state=State.QUEUED)


def test_q08_skip_serves_what_is_in_time_and_a_record_tells_the_rest(connector: Connector) -> None:
    job, due = make_missed(connector, misfire="skip")
    assert dispatch_due() == Dispatched(1, 0)
    assert queued(job).scheduled_for == due + timedelta(minutes=10)
    (told,) = skipped(job)
    assert (told.state, told.verdict, told.trigger) == (
        State.CANCELLED,
        "skipped.misfire",
        Trigger.SCHEDULE,
    )
    assert told.scheduled_for == due
    assert told.error.startswith("10 fires, ")
    event = told.events.get()
    assert (event.event, event.from_state, event.to_state) == (Event.SKIPPED, "", State.CANCELLED)
    assert event.data == {
        "count": 10,
        "first": due.isoformat(),
        "last": (due + timedelta(minutes=9)).isoformat(),
    }


def test_q08_run_once_serves_all_and_says_so(connector: Connector) -> None:
    job, due = make_missed(connector)
    dispatch_due()
    assert queued(job).scheduled_for == due
    assert queued(job).events.get().data["missed"] == 10
    assert skipped(job) == []


def test_q08_catch_up_queues_the_first_and_notes_the_others(connector: Connector) -> None:
    job, due = make_missed(connector, misfire="catch_up", catch_up_max=4)
    dispatch_due()
    assert queued(job).scheduled_for == due + timedelta(minutes=7)
    backfill = Backfill.objects.get()
    assert (backfill.fires, backfill.trigger, backfill.parallel) == (3, Trigger.SCHEDULE, 1)
    assert backfill.since == backfill.next_fire == due + timedelta(minutes=8)
    assert backfill.until == due + timedelta(minutes=10)
    assert skipped(job)[0].events.get().data["count"] == 7


def test_a_fire_that_is_later_than_the_job_allows_is_skipped(connector: Connector) -> None:
    job, due = make_missed(connector, max_lateness_s=150)
    dispatch_due()
    assert queued(job).scheduled_for == due + timedelta(minutes=8)
    (told,) = skipped(job)
    assert (told.verdict, told.events.get().data["count"]) == ("skipped.late", 8)


def test_a_job_all_of_whose_fires_are_too_late_moves_on(connector: Connector) -> None:
    job, _ = make_missed(connector)
    SyncJob.objects.filter(pk=job.pk).update(schedule={"cron": "0 0 1 1 *"}, max_lateness_s=60)
    assert dispatch_due() == Dispatched(0, 0, 1)
    job.refresh_from_db()
    assert job.next_run_at is not None
    assert job.next_run_at > timezone.now()
    assert dispatch_due() == Dispatched(0, 0)


@pytest.mark.parametrize("running", [False, True])
def test_overlap_skip_leaves_the_older_record_alone(connector: Connector, running: bool) -> None:
    job = make_job(connector, schedule=MINUTE, overlap="skip")
    dispatch_due()
    older = queued(job)
    if running:
        assert claim(older.pk, "worker") is not None
    SyncJob.objects.update(next_run_at=timezone.now())
    assert dispatch_due() == Dispatched(0, 0, 1)
    (told,) = skipped(job)
    assert told.verdict == "skipped.overlap"
    assert str(older.pk) in told.error
    older.refresh_from_db()
    assert older.state == (State.RUNNING if running else State.QUEUED)
    assert older.cancel_asked_at is None


def test_overlap_cancel_older_asks_the_running_one_and_replaces_the_queued_one(
    connector: Connector,
) -> None:
    job = make_job(connector, schedule=MINUTE, overlap="cancel_older")
    dispatch_due()
    running = queued(job)
    assert claim(running.pk, "worker") is not None
    for _ in range(2):
        SyncJob.objects.update(next_run_at=timezone.now())
        assert dispatch_due() == Dispatched(1, 0)
    running.refresh_from_db()
    assert (running.cancel_asked_by, running.state) == ("a newer fire", State.RUNNING)
    replaced = job.records.get(state=State.CANCELLED)
    assert "a newer fire" in replaced.events.get(event=Event.COALESCED).reason
    assert queued(job).pk not in (running.pk, replaced.pk)


def test_jitter_puts_a_job_off_by_the_same_each_time(connector: Connector) -> None:
    jobs = [make_job(connector, schedule={"cron": "0 0 1 1 *"}, jitter_s=3600) for _ in range(20)]
    offsets = set()
    for job in jobs:
        assert job.next_run_at is not None
        late = job.next_run_at - job.next_run_at.replace(month=1, day=1, hour=0, minute=0, second=0)
        assert late == job.offset
        assert timedelta(0) <= late <= timedelta(hours=1)
        offsets.add(late)
    assert len(offsets) > 10
    due = timezone.now().replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    for job in jobs:
        SyncJob.objects.filter(pk=job.pk).update(next_run_at=due + job.offset)
    dispatch_due()
    for job in jobs:
        planned = job.next_run_at
        job.refresh_from_db()
        assert job.next_run_at == planned


def follow(connector: Connector, *parents: SyncJob, condition: str = "all_succeeded") -> SyncJob:
    names = [parent.name for parent in parents]
    return make_job(connector, schedule={"after": names, "condition": condition})


def end(parent: SyncJob, follower: SyncJob, state: State) -> SyncRecord:
    """A record of the parent that has ended so, as the follower hears of it."""
    record = SyncRecord.objects.create(
        workspace=parent.workspace,
        job=parent,
        connector=parent.connector,
        trigger=Trigger.MANUAL,
        state=state,
        finished_at=timezone.now(),
    )
    Dependency.objects.update_or_create(
        job=follower,
        parent=parent,
        defaults={"record_id": record.pk, "state": state, "ended_at": timezone.now()},
    )
    SyncJob.objects.filter(pk=follower.pk).update(next_run_at=timezone.now())
    return record


def test_a_follower_waits_for_all_its_parents(connector: Connector) -> None:
    first, second = make_job(connector), make_job(connector)
    follower = follow(connector, first, second)
    for parent in (first, second):
        Dependency.objects.get_or_create(job=follower, parent=parent)
    one = end(first, follower, State.SUCCEEDED)
    assert dispatch_due() == Dispatched(0, 0, 0, 1)
    two = end(second, follower, State.SUCCEEDED)
    assert dispatch_due() == Dispatched(1, 0)
    record = queued(follower)
    assert record.trigger == Trigger.AFTER
    reason = record.events.get(event=Event.FOLLOWED).reason
    assert str(one.pk) in reason
    assert str(two.pk) in reason
    assert set(follower.parents.values_list("record_id", flat=True)) == {None}
    follower.refresh_from_db()
    assert follower.next_run_at is None


@pytest.mark.parametrize("state", [State.FAILED, State.PARTIAL, State.TIMED_OUT, State.CANCELLED])
def test_a_failed_parent_is_visible_at_its_follower(connector: Connector, state: State) -> None:
    parent = make_job(connector, name="extract")
    follower = follow(connector, parent)
    record = end(parent, follower, state)
    assert dispatch_due() == Dispatched(0, 0, 1)
    (told,) = skipped(follower)
    assert (told.verdict, told.trigger) == ("skipped.parent", Trigger.AFTER)
    assert f"extract ({state}, record {record.pk})" in told.error
    end(parent, follower, State.SUCCEEDED)
    assert dispatch_due() == Dispatched(1, 0)


def test_any_finished_takes_the_first_that_ends_however_it_did(connector: Connector) -> None:
    first, second = make_job(connector), make_job(connector)
    follower = follow(connector, first, second, condition="any_finished")
    Dependency.objects.get_or_create(job=follower, parent=first)
    end(second, follower, State.FAILED)
    assert dispatch_due() == Dispatched(1, 0)
    assert queued(follower).trigger == Trigger.AFTER


def test_a_thousand_due_jobs_take_a_handful_of_statements(
    connector: Connector, django_assert_max_num_queries: Any
) -> None:
    policies: list[dict[str, Any]] = [
        {},
        {"misfire": "skip"},
        {"overlap": "skip"},
        {"verify_every_s": 1},
        {"jitter_s": 30},
    ]
    for number in range(50):
        make_missed(connector, 3, **policies[number % len(policies)])
    with django_assert_max_num_queries(12):
        assert dispatch_due().queued == 50


def test_a_manual_run_is_refused_with_the_record_that_is_at_work(connector: Connector) -> None:
    job = make_job(connector, overlap="skip")
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    with pytest.raises(JobBusy, match="does not overlap, and a record of it is running") as refused:
        enqueue(job, trigger=Trigger.MANUAL)
    assert refused.value.record.pk == record.pk
    assert enqueue(job, trigger=Trigger.MANUAL, dry_run=True).state == State.QUEUED


def test_a_manual_run_may_replace_the_older_ones(connector: Connector) -> None:
    job = make_job(connector, overlap="cancel_older")
    running = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(running.pk, "worker") is not None
    replaced = enqueue(job, trigger=Trigger.MANUAL, by="ada")
    newest = enqueue(job, trigger=Trigger.MANUAL, by="ada")
    for record in (running, replaced):
        record.refresh_from_db()
    assert running.cancel_asked_by == "a newer record of ada"
    assert replaced.state == State.CANCELLED
    assert newest.state == State.QUEUED


def test_q08_a_clock_that_jumps_ahead_obeys_each_policy(connector: Connector) -> None:
    jobs = {
        policy: make_job(connector, schedule=MINUTE, misfire=policy, catch_up_max=3)
        for policy in ("skip", "run_once", "catch_up")
    }
    dispatch_due()
    SyncRecord.objects.update(state=State.SUCCEEDED, finished_at=timezone.now())
    ahead = timezone.now() + timedelta(hours=5, seconds=10)
    assert dispatch_due(now=ahead).queued == 3
    told = {
        policy: [r.events.get().data["count"] for r in skipped(j)] for policy, j in jobs.items()
    }
    assert told["run_once"] == []
    assert 298 <= told["skip"][0] <= 301
    assert 296 <= told["catch_up"][0] <= 299
    assert Backfill.objects.get().fires == 2
    for job in jobs.values():
        job.refresh_from_db()
        assert job.next_run_at is not None
        assert timedelta(0) < job.next_run_at - ahead <= timedelta(seconds=60)


def test_q08_a_clock_that_is_put_back_fires_nothing_twice(connector: Connector) -> None:
    job = make_job(connector, schedule=MINUTE)
    began = timezone.now()
    fires: list[datetime | None] = []
    for minutes in (0, 1, 2, -60, -59, 0, 1, 2, 3):  # the clock is put back by an hour, and runs on
        dispatch_due(now=began + timedelta(minutes=minutes, seconds=5))
        fires += job.records.filter(state=State.QUEUED).values_list("scheduled_for", flat=True)
        job.records.filter(state=State.QUEUED).update(
            state=State.SUCCEEDED, finished_at=timezone.now()
        )
    assert len(fires) == len(set(fires)) == 4
