"""Due fires become records: once each, however many dispatchers there are."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from connectors.models import Connector, ConnectorStatus
from syncjobs.claims.claiming import claim
from syncjobs.configuration.jobs import follow_auto_sync, save_job
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.ringing import take_unrung
from syncjobs.records.transition import move
from tests.rows import make_job

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = {"every_s": 3600}


def make_due(job: SyncJob, *, ago_s: int = 5) -> None:
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=timezone.now() - timedelta(seconds=ago_s))


def test_a_due_job_is_queued_once_and_its_schedule_moves_on(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    due = job.next_run_at
    assert (dispatch_due().queued, dispatch_due().queued) == (1, 0)
    record = SyncRecord.objects.get()
    assert (record.state, record.trigger, record.scheduled_for) == (
        State.QUEUED,
        Trigger.SCHEDULE,
        due,
    )
    job.refresh_from_db()
    assert job.next_run_at is not None
    assert due is not None
    assert job.next_run_at - due == timedelta(hours=1)


def test_two_dispatchers_at_once_queue_each_fire_once(connector: Connector) -> None:
    jobs = [make_job(connector, schedule=HOUR) for _ in range(120)]
    dispatchers = 4
    gate = threading.Barrier(dispatchers)

    def dispatch_all(_: int) -> int:
        try:
            gate.wait()
            served = 0
            while count := dispatch_due(limit=7).queued:
                served += count
            return served
        finally:
            connection.close()

    with ThreadPoolExecutor(dispatchers) as pool:
        counts = list(pool.map(dispatch_all, range(dispatchers)))
    dispatch_due()  # what one had locked while the others gave up
    assert sum(counts) <= len(jobs)
    fires = list(SyncRecord.objects.values_list("job_id", "scheduled_for"))
    assert len(fires) == len(set(fires)) == len(jobs)


def test_a_fire_that_finds_its_job_queued_is_coalesced_visibly(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    dispatch_due()
    make_due(job)
    served = dispatch_due()
    assert (served.queued, served.coalesced) == (0, 1)
    record = SyncRecord.objects.get()
    assert "also serves the fire" in record.events.get(event=Event.COALESCED).reason


def test_a_fire_is_not_served_by_a_dry_run(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    enqueue(job, trigger=Trigger.MANUAL, dry_run=True)
    served = dispatch_due()
    assert (served.queued, served.coalesced) == (1, 0)


def test_missed_intervals_are_one_fire(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    make_due(job, ago_s=10 * 3600 + 60)
    assert dispatch_due().queued == 1
    job.refresh_from_db()
    assert job.next_run_at is not None
    assert job.next_run_at > timezone.now()


@pytest.mark.parametrize("schedule", [HOUR, {"cron": "* * * * *"}])
def test_q08_fires_that_are_passed_over_are_told(
    connector: Connector, schedule: dict[str, Any]
) -> None:
    job = make_job(connector, schedule=schedule)
    make_due(job, ago_s=10 * 3600 + 60)
    job.refresh_from_db()
    fire = job.next_run_at
    dispatch_due()
    job.refresh_from_db()
    assert fire is not None
    assert job.next_run_at is not None
    told = SyncRecord.objects.get().events.get(event=Event.COALESCED)
    first, last = (datetime.fromisoformat(told.data[name]) for name in ("first", "last"))
    assert job.parsed_schedule.next_fire(fire) == first
    assert job.parsed_schedule.next_fire(last) == job.next_run_at
    assert told.data["missed"] in ((10,) if schedule == HOUR else (600, 601))


def test_a_fire_in_time_passes_none_over(connector: Connector) -> None:
    make_job(connector, schedule=HOUR)
    dispatch_due()
    assert not SyncRecord.objects.get().events.exists()


def test_p9_a_fire_whose_queued_record_is_claimed_meanwhile_stays_due(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    dispatch_due()
    first = SyncRecord.objects.get()
    make_due(job)
    with ThreadPoolExecutor(1) as pool:

        def claim_first() -> None:
            try:
                assert claim(first.pk, "another") is not None
            finally:
                connection.close()

        def between(execute: Any, sql: str, *rest: Any) -> Any:
            """After the insert has met the queued record, and before that is looked for."""
            result = execute(sql, *rest)
            if sql.startswith("INSERT INTO syncjobs_syncrecord"):
                pool.submit(claim_first).result()
            return result

        with connection.execute_wrapper(between):
            assert dispatch_due().coalesced == 0
    assert dispatch_due().queued == 1
    fires = SyncRecord.objects.values_list("scheduled_for", flat=True)
    assert len(fires) == 2
    job.refresh_from_db()
    assert job.next_run_at not in fires


def test_a_fire_that_has_a_record_already_is_left_behind(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    dispatch_due()
    record = SyncRecord.objects.get()
    assert claim(record.pk, "worker") is not None
    SyncJob.objects.filter(pk=job.pk).update(next_run_at=record.scheduled_for)
    dispatch_due()
    job.refresh_from_db()
    assert record.scheduled_for is not None
    assert job.next_run_at is not None
    assert job.next_run_at > record.scheduled_for
    assert SyncRecord.objects.count() == 1


def test_a_disabled_job_or_a_paused_connector_is_not_dispatched(connector: Connector) -> None:
    make_job(connector, schedule=HOUR, enabled=False)
    paused = make_job(connector, schedule=HOUR)
    connector.status = ConnectorStatus.PAUSED
    connector.save()
    assert dispatch_due().queued == 0
    connector.status = ConnectorStatus.ACTIVE
    connector.save()
    assert dispatch_due().queued == 1
    assert SyncRecord.objects.get().job == paused


def test_a_job_that_is_switched_on_again_gets_a_new_fire(connector: Connector) -> None:
    job = make_job(connector, schedule={"cron": "0 0 1 1 *"})
    planned = job.next_run_at
    job.enabled = False
    save_job(job)
    assert job.next_run_at is None
    job.enabled = True
    save_job(job)
    assert job.next_run_at == planned


def test_an_edit_that_leaves_the_schedule_leaves_the_next_fire(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    dispatch_due()
    job.refresh_from_db()
    planned = job.next_run_at
    job.include = ["*.csv"]
    save_job(job)
    assert job.next_run_at == planned
    job.schedule = {"every_s": 60}
    save_job(job)
    assert job.next_run_at != planned


def test_an_unreadable_schedule_stops_its_own_job_only(connector: Connector) -> None:
    broken, fine = (make_job(connector, schedule=HOUR) for _ in range(2))
    SyncJob.objects.filter(pk=broken.pk).update(schedule={"cron": "99 * * * *"})
    assert dispatch_due().queued == 2
    broken.refresh_from_db()
    fine.refresh_from_db()
    assert broken.next_run_at is None
    assert "not scheduled any more" in broken.last_error
    assert fine.next_run_at is not None


def test_a_dataset_outlives_its_job_and_follows_its_name(connector: Connector) -> None:
    job = make_job(connector, name="first")
    dataset = job.dataset
    job.name = "second"
    save_job(job)
    dataset.refresh_from_db()
    assert dataset.name == "second"
    job.delete()
    assert make_job(connector, name="second").dataset == dataset


def test_auto_sync_keeps_a_default_job(connector: Connector) -> None:
    connector.auto_sync, connector.sync_interval_s = True, 900
    follow_auto_sync(connector)
    job = SyncJob.objects.get()
    assert (job.schedule, job.enabled, job.is_default) == ({"every_s": 900}, True, True)
    assert dispatch_due().queued == 1
    connector.sync_interval_s = 60
    follow_auto_sync(connector)
    connector.auto_sync = False
    follow_auto_sync(connector)
    job = SyncJob.objects.get()
    assert (job.schedule, job.enabled, job.next_run_at) == ({"every_s": 60}, False, None)


def test_a_bell_is_rung_once_and_again_after_it_was_lost(connector: Connector) -> None:
    make_job(connector, schedule=HOUR)
    dispatch_due()
    record = SyncRecord.objects.get()
    assert take_unrung() == [record.pk]
    assert take_unrung() == []
    SyncRecord.objects.update(rung_at=timezone.now() - timedelta(seconds=31))
    assert take_unrung() == [record.pk]


def test_no_bell_for_what_waits_or_runs(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR)
    dispatch_due()
    record = SyncRecord.objects.get()
    SyncRecord.objects.update(not_before=timezone.now() + timedelta(seconds=60))
    assert take_unrung() == []
    SyncRecord.objects.update(not_before=None)
    held = claim(record.pk, "worker")
    assert held is not None
    make_due(job)
    assert dispatch_due().queued == 1
    assert take_unrung() == []
    move(record.pk, Event.SUCCEEDED, token=held.token)
    assert len(take_unrung()) == 1


def test_a_scheduled_record_runs_in_full_when_verification_is_due(connector: Connector) -> None:
    job = make_job(connector, schedule=HOUR, verify_every_s=86_400)
    now = timezone.now()
    modes = {}
    for hours in (1, 23, 25):
        SyncRecord.objects.all().delete()
        make_due(job)
        SyncJob.objects.filter(pk=job.pk).update(last_verified_at=now - timedelta(hours=hours))
        dispatch_due()
        record = SyncRecord.objects.get()
        modes[hours] = (record.mode, [event.reason for event in record.events.all()])
    assert modes == {
        1: ("incremental", []),
        23: ("incremental", []),
        25: ("full", ["periodic verification is due"]),
    }


def test_verification_counts_from_the_jobs_start_and_only_where_it_is_asked_for(
    connector: Connector,
) -> None:
    asked = make_job(connector, schedule=HOUR, verify_every_s=86_400)
    never = make_job(connector, schedule=HOUR)
    old = timezone.now() - timedelta(days=2)
    SyncJob.objects.update(created_at=old)
    for job in (asked, never):
        make_due(job)
    dispatch_due()
    assert SyncRecord.objects.get(job=asked).mode == "full"
    assert SyncRecord.objects.get(job=never).mode == "incremental"
