"""Fires of the past: how many at once, how they end, and that the schedule's own are left alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from connectors.models import Connector, ConnectorStatus
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import Event, State
from syncjobs.models import Backfill, BackfillState, SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing import backfilling
from syncjobs.queueing.backfilling import (
    NoFires,
    TooManyFires,
    advance_backfills,
    cancel_backfill,
    count_fires,
    request_backfill,
)
from syncjobs.queueing.dispatching import Dispatched, dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)
SINCE, UNTIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 7, 23, tzinfo=UTC)
DAILY = {"cron": "0 2 * * *", "timezone": "UTC"}


def end_all(backfill: Backfill) -> list[datetime]:
    """Ends what is queued, one after the other; its fires."""
    ended = []
    for record in backfill.records.filter(state=State.QUEUED).order_by("scheduled_for"):
        held = claim(record.pk, "worker")
        assert held is not None
        move(record.pk, Event.SUCCEEDED, token=held.token)
        assert record.scheduled_for is not None
        ended.append(record.scheduled_for)
    return ended


def test_each_fire_of_the_range_gets_a_record_some_at_a_time(connector: Connector) -> None:
    job = make_job(connector, schedule=DAILY)
    planned = job.next_run_at
    backfill = request_backfill(job, SINCE, UNTIL, parallel=3, mode=SyncMode.FULL, by="ada")
    assert (backfill.fires, count_fires(job, SINCE, UNTIL)) == (7, 7)
    fires, rounds = [], []
    while advance_backfills():
        rounds.append(backfill.records.filter(state=State.QUEUED).count())
        fires += end_all(backfill)
    assert rounds == [3, 3, 1]
    assert fires == [datetime(2026, 3, day, 2, tzinfo=UTC) for day in range(1, 8)]
    backfill.refresh_from_db()
    assert (backfill.state, backfill.queued) == (BackfillState.DONE, 7)
    assert backfill.finished_at is not None
    record = backfill.records.earliest("scheduled_for")
    assert (record.trigger, record.mode, record.requested_by) == (Trigger.BACKFILL, "full", "ada")
    assert "fire 1 of 7" in record.events.get(event=Event.BACKFILLED).reason
    job.refresh_from_db()
    assert job.next_run_at == planned


def test_no_more_is_queued_than_may_be_live(connector: Connector) -> None:
    job = make_job(connector, schedule=DAILY)
    backfill = request_backfill(job, SINCE, UNTIL, parallel=2)
    assert [advance_backfills() for _ in range(3)] == [2, 0, 0]
    first = backfill.records.earliest("scheduled_for")
    assert claim(first.pk, "worker") is not None
    assert advance_backfills() == 0


def test_the_ordinary_queue_stays_free_beside_it(connector: Connector) -> None:
    job = make_job(connector, schedule={"every_s": 60})
    now = timezone.now()
    request_backfill(job, now - timedelta(minutes=9, seconds=30), now, parallel=4)
    assert advance_backfills() == 4
    assert dispatch_due() == Dispatched(1, 0)
    ordinary = job.records.get(backfill=None)
    held = claim(ordinary.pk, "worker")
    assert held is not None
    # What goes back to the queue takes no backfill's place, and gives way to none.
    move(ordinary.pk, Event.INTERRUPTED, token=held.token)
    assert job.records.filter(state=State.QUEUED).count() == 5
    assert not job.records.filter(state=State.CANCELLED).exists()


def test_a_fire_may_be_backfilled_that_the_schedule_served(connector: Connector) -> None:
    job = make_job(connector, schedule={"every_s": 3600})
    dispatch_due()
    served = SyncRecord.objects.get()
    assert served.scheduled_for is not None
    backfill = request_backfill(job, served.scheduled_for, served.scheduled_for)
    assert advance_backfills() == 1
    assert backfill.records.get().scheduled_for == served.scheduled_for


def test_a_job_catches_up_one_record_after_the_other(connector: Connector) -> None:
    job = make_job(connector, schedule={"every_s": 60}, misfire="catch_up", catch_up_max=4)
    due = timezone.now() - timedelta(minutes=10, seconds=5)
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=due)
    dispatch_due()
    first = SyncRecord.objects.get(job=job, state=State.QUEUED)
    held = claim(first.pk, "worker")
    assert held is not None
    move(first.pk, Event.SUCCEEDED, token=held.token)
    backfill = Backfill.objects.get()
    fires = [first.scheduled_for]
    while advance_backfills():
        assert backfill.records.filter(state=State.QUEUED).count() == 1
        fires += end_all(backfill)
    assert fires == [due + timedelta(minutes=minutes) for minutes in range(7, 11)]
    assert set(backfill.records.values_list("trigger", flat=True)) == {Trigger.SCHEDULE}


def test_a_cancelled_backfill_ends_what_it_has_queued(connector: Connector) -> None:
    job = make_job(connector, schedule=DAILY)
    backfill = request_backfill(job, SINCE, UNTIL, parallel=3)
    advance_backfills()
    running = backfill.records.earliest("scheduled_for")
    assert claim(running.pk, "worker") is not None
    assert cancel_backfill(backfill, by="ada")
    assert not cancel_backfill(backfill, by="ada")
    assert advance_backfills() == 0
    states = sorted(backfill.records.values_list("state", flat=True))
    assert states == [State.CANCELLED, State.CANCELLED, State.RUNNING]
    running.refresh_from_db()
    assert running.cancel_asked_by == "ada"


def test_a_schedule_that_changed_ends_it(connector: Connector) -> None:
    job = make_job(connector, schedule=DAILY)
    backfill = request_backfill(job, SINCE, UNTIL)
    advance_backfills()
    job.schedule = {}
    save_job(job)
    end_all(backfill)
    assert advance_backfills() == 0
    assert advance_backfills() == 0
    backfill.refresh_from_db()
    assert backfill.state in (BackfillState.DONE, BackfillState.ACTIVE)
    advance_backfills()
    backfill.refresh_from_db()
    assert backfill.state == BackfillState.DONE


@pytest.mark.parametrize(
    ("schedule", "since", "until", "says"),
    [
        (DAILY, UNTIL, SINCE, "before its beginning"),
        (DAILY, SINCE, SINCE + timedelta(hours=1), "no fire from"),
        (DAILY, SINCE, datetime(2100, 1, 1, tzinfo=UTC), "into the future"),
        ({}, SINCE, UNTIL, "by hand has no fires of its own"),
        ({"every_s": 60, "counted_from": "end"}, SINCE, UNTIL, "no fires of its own"),
    ],
)
def test_a_range_without_fires_says_why(
    connector: Connector, schedule: dict[str, Any], since: datetime, until: datetime, says: str
) -> None:
    job = make_job(connector, schedule=schedule)
    with pytest.raises(NoFires, match=says):
        request_backfill(job, since, until)
    assert not Backfill.objects.exists()


def test_too_long_a_range_is_refused(connector: Connector) -> None:
    job = make_job(connector, schedule={"every_s": 60})
    with pytest.raises(TooManyFires, match="10,000"):
        request_backfill(job, SINCE, UNTIL + timedelta(days=10))


def test_overlap_policies_leave_backfills_out(connector: Connector) -> None:
    job = make_job(connector, schedule=DAILY, overlap="skip")
    request_backfill(job, SINCE, UNTIL)
    advance_backfills()
    assert enqueue(job, trigger=Trigger.MANUAL).state == State.QUEUED


def test_a_backfills_record_that_goes_back_to_the_queue_stays_beside_the_ordinary_one(
    connector: Connector,
) -> None:
    job = make_job(connector, schedule=DAILY)
    backfill = request_backfill(job, SINCE, UNTIL)
    advance_backfills()
    record = backfill.records.get()
    held = claim(record.pk, "worker")
    assert held is not None
    ordinary = enqueue(job, trigger=Trigger.MANUAL)
    move(record.pk, Event.INTERRUPTED, token=held.token)
    for waiting in (record, ordinary):
        waiting.refresh_from_db()
        assert waiting.state == State.QUEUED


def test_many_that_cannot_move_keep_none_waiting(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a paused connector rest, and go on when it is back; those that have all at work are passed over."""
    monkeypatch.setattr(backfilling, "AT_ONCE", 2)
    asleep = Connector.objects.create(
        workspace=connector.workspace,
        name="asleep",
        kind="sftp",
        host="127.0.0.1",
        port=2,
        options={"username": "x"},
        status=ConnectorStatus.PAUSED,
    )
    resting = [
        request_backfill(make_job(asleep, schedule=DAILY), SINCE, UNTIL, parallel=7)
        for _ in range(3)
    ]
    for _ in range(5):
        request_backfill(make_job(connector, schedule=DAILY), SINCE, UNTIL)
    assert [advance_backfills() for _ in range(4)] == [2, 2, 1, 0]
    Connector.objects.update(status=ConnectorStatus.ACTIVE)
    assert [advance_backfills() for _ in range(3)] == [14, 7, 0]
    assert {backfill.records.count() for backfill in resting} == {7}


@pytest.mark.parametrize("pause", [{"enabled": False}, {"paused_at": timezone.now()}])
def test_what_a_job_catches_up_with_ends_with_a_pause(
    connector: Connector, pause: dict[str, Any]
) -> None:
    job = make_job(connector, schedule={"every_s": 60}, misfire="catch_up")
    due = timezone.now() - timedelta(minutes=10, seconds=5)
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=due)
    dispatch_due()
    assert advance_backfills() == 1
    asked = request_backfill(job, due, due + timedelta(minutes=3), by="ada")
    SyncJob.objects.filter(pk=job.pk).update(**pause)
    assert advance_backfills() == 1
    caught_up = Backfill.objects.exclude(pk=asked.pk).get()
    assert caught_up.state == BackfillState.CANCELLED
    assert caught_up.records.get().state == State.CANCELLED
    assert asked.records.get().state == State.QUEUED


def test_q08_two_beats_queue_each_fire_of_a_backfill_once(connector: Connector) -> None:
    job = make_job(connector, schedule={"every_s": 60})
    now = timezone.now()
    backfill = request_backfill(job, now - timedelta(hours=2), now, parallel=100)
    gate = threading.Barrier(4)

    def advance(_: int) -> int:
        try:
            gate.wait()
            return sum(advance_backfills() for _ in range(5))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(advance, range(4))) == 100
    fires = list(backfill.records.values_list("scheduled_for", flat=True))
    assert len(fires) == len(set(fires)) == 100
