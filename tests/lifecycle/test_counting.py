"""Totals rise by every event once, whatever the order of commits, and never fall."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from database.sessions import open_session
from datasets.models import Version
from events.models import SyncEvent
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event
from syncjobs.models import (
    DURATION_BOUNDS_S,
    EventTotal,
    HourTotal,
    SyncJob,
    SyncRecord,
    Trigger,
)
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from syncjobs.upkeep.counting import count_events
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"a.txt": b"x" * 10, "b.txt": b"y" * 20})
    return make_job(make_connector(sshd.target(source)))


@pytest.fixture
def session() -> Iterator[Any]:
    with closing(open_session(statement_timeout_s=10, name="test")) as opened:
        yield opened


def counts() -> dict[str, int]:
    return {row.event: row.records for row in EventTotal.objects.all()}


def test_what_records_did_is_summed(job: SyncJob, source: Path) -> None:
    run(job)
    count_events()
    fill(source, {"b.txt": b"changed", "c.txt": b"z" * 30})
    run(job)
    run(job, dry_run=True)
    count_events()
    assert counts() == {"claimed": 2, "succeeded": 2}
    total = EventTotal.objects.get(event="succeeded")
    assert (total.workspace_id, total.kind) == (job.workspace_id, "sftp")
    assert (total.files_added, total.files_changed, total.files_unchanged) == (3, 1, 1)
    assert total.bytes_transferred == 30 + 37
    assert sum(total.durations) == 2
    assert 0 < total.duration_s < 120


def test_each_event_is_counted_once(job: SyncJob) -> None:
    run(job)
    assert count_events()
    before = counts()
    assert not count_events()
    assert counts() == before


def test_events_that_move_nothing_are_not_counted(job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    SyncEvent.objects.create(
        record=record,
        workspace_id=record.workspace_id,
        event="coalesced",
        from_state="queued",
        to_state="queued",
    )
    move(record.pk, Event.CANCELLED)
    count_events()
    assert counts() == {"cancelled": 1}


@pytest.mark.parametrize("took_s", [0.5, 1, 1.5, 59, 60, 61, 100_000])
def test_a_duration_falls_between_its_bounds(job: SyncJob, took_s: float) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    held = claim(record.pk, "worker")
    assert held is not None
    move(record.pk, Event.FAILED, token=held.token)
    end = timezone.now()
    SyncRecord.objects.update(worked_s=took_s, finished_at=end)
    count_events()
    durations = EventTotal.objects.get(event="failed").durations
    [bucket] = [n for n, count in enumerate(durations) if count]
    bounds = [0, *DURATION_BOUNDS_S, float("inf")]
    assert bounds[bucket] < took_s <= bounds[bucket + 1]


def test_a_record_that_never_began_has_no_duration(job: SyncJob) -> None:
    move(enqueue(job, trigger=Trigger.MANUAL).pk, Event.CANCELLED)
    count_events()
    assert sum(EventTotal.objects.get().durations) == 0


def insert_event(session: Any, record: SyncRecord) -> None:
    session.execute(
        "INSERT INTO events_syncevent (record_id, workspace_id, event, from_state, to_state, token,"
        " reason, data) VALUES (%s, %s, 'guard_stopped', 'running', 'held', 0, '', '{}')",
        [record.pk, record.workspace_id],
    )


def test_an_event_that_is_committed_after_later_ones_is_not_missed(
    job: SyncJob, sshd: Sshd, source: Path, session: Any
) -> None:
    early = enqueue(job, trigger=Trigger.MANUAL)
    late = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    with session.transaction():
        insert_event(session, early)  # has its id, and is not visible yet
        move(late.pk, Event.CANCELLED)  # has a higher id, and is
        for _ in range(3):
            count_events()
        assert counts() == {}
    for _ in range(2):
        count_events()
    assert counts() == {"guard_stopped": 1, "cancelled": 1}


def test_totals_stay_when_records_go(job: SyncJob) -> None:
    run(job)
    count_events()
    before = list(EventTotal.objects.values())
    SyncRecord.objects.all().delete()
    count_events()
    assert list(EventTotal.objects.values()) == before


def test_hours_tell_states_files_bytes_and_what_the_versions_grew(
    job: SyncJob, source: Path
) -> None:
    record = run(job)
    first = record.bytes_transferred
    fill(source, {"more.bin": b"z" * 1000})
    run(job)
    run(job, dry_run=True)
    count_events()
    [hour] = HourTotal.objects.all()
    assert (hour.workspace_id, hour.state, hour.records) == (job.workspace_id, "succeeded", 2)
    assert hour.bytes_transferred == first + 1000
    assert hour.files == record.files_added + 1
    held = Version.objects.get(dataset=job.dataset, is_current=True)
    assert hour.held_bytes == held.size_bytes
    count_events()  # what was counted is not counted again
    assert HourTotal.objects.get().records == 2


def test_old_hours_are_forgotten(job: SyncJob) -> None:
    HourTotal.objects.create(
        workspace_id=job.workspace_id,
        hour=timezone.now() - timedelta(days=70),
        state="failed",
        records=1,
    )
    run(job)
    count_events()
    assert HourTotal.objects.values_list("state").get() == ("succeeded",)
