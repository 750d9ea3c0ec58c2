"""Each rule by which a running record is taken back, its evidence, and what holds the reaper back."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from pytest_django import Settings

from database.sessions import open_session
from datasets.catalog import Catalog, Listed
from datasets.fencing import Fenced, check_fence
from datasets.models import Version
from events.models import SyncEvent
from syncjobs.claims.claiming import claim
from syncjobs.claims.reaping import HOLD, PULSE, clean_up, reap, reap_cancelled
from syncjobs.core.states import State
from syncjobs.models import Pulse, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from syncjobs.works.contract import Claim
from syncjobs.works.files.publishing import publish
from tests.hosts.sshd import Sshd
from tests.racing import count_waiting, in_a_session
from tests.rows import fresh, make_connector, make_job
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def make(sshd: Sshd, source: Path, settings: Settings) -> Callable[..., SyncRecord]:
    """A running record whose worker says nothing more; any number of them at one host."""
    settings.SYNC = dataclasses.replace(settings.SYNC, batch_size=0, max_per_host=0)

    def make_one(workspace: str = "acme") -> SyncRecord:
        job = make_job(make_connector(sshd.target(source), workspace=workspace))
        record = enqueue(job, trigger=Trigger.MANUAL)
        take(record)
        record.refresh_from_db()
        return record

    return make_one


@pytest.fixture
def record(make: Callable[..., SyncRecord]) -> SyncRecord:
    return make()


def take(record: SyncRecord) -> Claim:
    held = claim(record.pk, "worker")
    assert held is not None
    return held


def age(record: SyncRecord, **seconds: float) -> None:
    """As if so much time had passed since each of these."""
    SyncRecord.objects.filter(pk=record.pk).update(
        **{name: Now() - timedelta(seconds=value) for name, value in seconds.items()}
    )


def age_claim(record: SyncRecord, seconds: float) -> None:
    SyncEvent.objects.filter(record=record, event="claimed").update(
        at=Now() - timedelta(seconds=seconds)
    )


def last_event(record: SyncRecord) -> SyncEvent:
    event = record.events.order_by("-id").first()
    assert event is not None
    return event


def test_a_lease_that_ran_out_is_told_with_its_evidence(record: SyncRecord) -> None:
    age(record, lease_expires_at=3, heartbeat_at=23)
    assert reap(young_s=0) == 1
    assert (fresh(record).state, record.verdict) == (State.QUEUED, "lease.expired")
    event = last_event(record)
    assert event.event == "lease_expired"
    told = event.data
    assert (told["rule"], told["by"], told["owner"]) == ("lease.expired", "reaper", "worker")
    assert told["seconds"] >= 3
    assert told["heartbeat_at"]
    assert told["stage"] == "initializing"


def test_work_that_stands_still_is_taken_back_although_its_worker_lives(record: SyncRecord) -> None:
    age(record, progress_at=590)
    assert reap(young_s=0) == 0
    age(record, progress_at=616)
    assert reap(young_s=0) == 1
    assert (fresh(record).state, record.verdict) == (State.QUEUED, "stuck.no_progress")
    assert (record.attempt, record.crash_count) == (2, 0)
    assert record.not_before is not None
    told = last_event(record).data
    assert (told["rule"], told["limit_s"]) == ("stuck.no_progress", 600)


def test_work_that_stood_still_in_its_last_attempt_fails(record: SyncRecord) -> None:
    SyncJob.objects.update(max_attempts=1)
    age(record, progress_at=616)
    assert reap(young_s=0) == 1
    assert (fresh(record).state, record.error_code) == (State.FAILED, "stuck.no_progress")
    assert record.verdict == "stuck.no_progress"


def test_a_deadline_that_the_worker_does_not_keep_is_enforced(record: SyncRecord) -> None:
    SyncRecord.objects.filter(pk=record.pk).update(deadline_s=300)
    age_claim(record, 310)  # its worker has a few seconds to say so itself
    assert reap(young_s=0) == 0
    age_claim(record, 320)
    assert reap(young_s=0) == 1
    assert (fresh(record).state, record.verdict) == (State.TIMED_OUT, "deadline")
    assert (last_event(record).data["rule"], record.error_code) == ("deadline", "deadline")


def test_what_a_record_waited_between_attempts_is_no_work(record: SyncRecord) -> None:
    """It is counted from the claim of the running attempt, not from the first start."""
    age(record, started_at=9_999)
    SyncRecord.objects.filter(pk=record.pk).update(deadline_s=300)
    assert reap(young_s=0) == 0


def test_a_cancel_that_nobody_answers_is_carried_out_and_fences_the_worker_off(
    make: Callable[..., SyncRecord],
) -> None:
    record = make()
    held = Claim(record.pk, record.job.dataset_id, record.token, "worker")
    cancel(record.pk, by="a person")
    assert reap_cancelled() == 0
    age(record, cancel_asked_at=7)
    assert reap_cancelled() == 1
    assert (fresh(record).state, record.verdict) == (State.CANCELLED, "cancel.unanswered")
    event = last_event(record)
    assert "cancelled by a person" in event.reason
    assert event.data["rule"] == "cancel.unanswered"
    session = open_session(statement_timeout_s=10, name="test")
    try:
        catalog = Catalog(
            session,
            dataset_id=held.dataset_id,
            record_id=held.record_id,
            token=held.token,
            full=False,
        )
        catalog.stage([Listed("a.txt", 1, 10**18, None)])
        catalog.compare(lambda _: False)
        with pytest.raises(Fenced):
            publish(session, held, catalog, removals=True, troubles=[])
        with pytest.raises(Fenced):
            check_fence(session.cursor(), catalog.parameters)
    finally:
        session.close()
    assert not Version.objects.exists()


@pytest.fixture
def stopped_publish(record: SyncRecord) -> Iterator[Any]:
    """The session of a worker that was stopped in the middle of a publish."""
    held = Claim(record.pk, record.job.dataset_id, record.token, "worker")
    session = open_session(statement_timeout_s=10, name=held.session_name)
    session.execute("BEGIN")
    with session.cursor() as cursor:
        check_fence(cursor, {"dataset": held.dataset_id, "token": held.token})
    yield session
    session.close()


def test_a_cancel_does_not_wait_for_a_worker_that_stopped_in_a_publish(
    record: SyncRecord, stopped_publish: Any
) -> None:
    cancel(record.pk, by="a person")
    age(record, cancel_asked_at=7)
    until(lambda: reap_cancelled() == 1, "its locks hold up the cancel", within_s=10)
    assert fresh(record).state == State.CANCELLED


def test_no_other_rule_ends_a_publish_under_way(record: SyncRecord, stopped_publish: Any) -> None:
    age(record, lease_expires_at=3, progress_at=9_999)
    assert reap(young_s=0) == 0
    stopped_publish.execute("COMMIT")
    assert reap(young_s=0) == 1


@pytest.mark.parametrize("since_s", [60, -3600])
def test_after_a_gap_or_a_jump_of_the_clock_live_owners_get_one_lease(
    record: SyncRecord, since_s: float
) -> None:
    age(record, lease_expires_at=3)
    Pulse.objects.create(part=PULSE, at=Now() - timedelta(seconds=since_s))
    assert reap(young_s=0) == 0
    assert reap(young_s=0) == 0  # the hold lasts for later sweeps too
    Pulse.objects.filter(part=HOLD).update(at=Now() - timedelta(seconds=1))
    assert reap(young_s=0) == 1


def test_a_hold_does_not_keep_a_cancel_waiting(record: SyncRecord) -> None:
    Pulse.objects.create(part=PULSE, at=Now() - timedelta(seconds=60))
    cancel(record.pk, by="a person")
    age(record, cancel_asked_at=7)
    assert reap(young_s=10**9) == 1
    assert fresh(record).state == State.CANCELLED


def test_a_jump_of_the_clock_counts_for_no_deadline(record: SyncRecord) -> None:
    """An hour that did not pass: what was claimed before it is counted from the hold's end."""
    SyncRecord.objects.filter(pk=record.pk).update(deadline_s=300)
    age_claim(record, 3600)
    Pulse.objects.create(part=HOLD, at=Now() - timedelta(seconds=100))
    assert reap(young_s=0) == 0
    Pulse.objects.filter(part=HOLD).update(at=Now() - timedelta(seconds=400))
    assert reap(young_s=0) == 1


def test_a_lease_from_before_the_clock_went_back_does_not_last_for_ever(
    record: SyncRecord,
) -> None:
    age(record, lease_expires_at=-3620, heartbeat_at=-3600)
    assert reap(young_s=0) == 1
    assert fresh(record).verdict == "lease.expired"
    assert "set back" in last_event(record).reason


def test_a_clean_up_by_hand_has_no_brakes_and_counts_by_rule(
    make: Callable[..., SyncRecord],
) -> None:
    dead = [make() for _ in range(4)]
    still, fit, elsewhere = make(), make(), make("lab")
    for one in dead:
        age(one, lease_expires_at=1)
    age(elsewhere, lease_expires_at=1)
    age(still, progress_at=601)
    Pulse.objects.create(part=PULSE, at=Now() - timedelta(seconds=60))
    assert reap(young_s=0) == 0
    acme = [fit.workspace_id]
    planned = clean_up(by="operator", workspace_ids=acme, dry_run=True)
    assert planned.by_rule == {"lease.expired": 4, "stuck.no_progress": 1}
    assert all(fresh(one).state == State.RUNNING for one in (*dead, still))
    done = clean_up(by="operator", workspace_ids=acme)
    assert (done.count, done.by_rule) == (5, planned.by_rule)
    assert all(fresh(one).state == State.QUEUED for one in (*dead, still))
    assert [fresh(one).state for one in (fit, elsewhere)] == [State.RUNNING, State.RUNNING]
    event = last_event(still)
    assert event.data["by"] == "operator"
    assert event.reason.endswith("(cleaned up by operator)")
    assert clean_up(by="operator").by_rule == {"lease.expired": 1}
    assert fresh(elsewhere).state == State.QUEUED


def test_the_installation_sets_the_limits(record: SyncRecord, settings: Settings) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, stall_s=5)
    age(record, progress_at=21)
    assert reap(young_s=0) == 1


def test_item_04_two_sweeps_within_milliseconds_do_not_hold_each_other() -> None:
    """The later one waits for the row, which then has a time after its own transaction's beginning."""
    reap()
    waiting = threading.Thread(target=in_a_session, args=(reap,))
    with transaction.atomic():
        Pulse.objects.select_for_update().get(part=PULSE)
        waiting.start()
        until(count_waiting, "the other sweep did not wait")
        Pulse.objects.filter(part=PULSE).update(at=RawSQL("clock_timestamp()", []))
    waiting.join()
    assert not Pulse.objects.filter(part=HOLD).exists()
