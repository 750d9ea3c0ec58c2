"""Totals rise by every event once, whatever the order of commits, and never fall."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from syncjobs.claims.claiming import claim
from syncjobs.claims.sessions import open_session
from syncjobs.core.states import Event
from syncjobs.models import (
    DURATION_BOUNDS_S,
    CountingMark,
    EventTotal,
    SyncEvent,
    SyncJob,
    SyncRecord,
    Trigger,
)
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from syncjobs.upkeep import counting
from syncjobs.upkeep.counting import count_events
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run
from tests.waiting import until

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
    assert counts() == {"claimed": 3, "succeeded": 3}
    total = EventTotal.objects.get(event="succeeded")
    assert (total.workspace_id, total.kind) == (job.workspace_id, "sftp")
    assert (total.files_added, total.files_changed, total.files_unchanged) == (3, 1, 1)
    assert total.bytes_transferred == 30 + 37
    assert sum(total.durations) == 2  # dry runs have none
    assert 0 < total.duration_s < 120


def test_each_event_is_counted_once(job: SyncJob) -> None:
    run(job)
    assert count_events() > 0
    before = counts()
    assert count_events() == 0
    assert counts() == before


def test_events_that_move_nothing_are_not_counted(job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    SyncEvent.objects.create(
        record=record, event="coalesced", from_state="queued", to_state="queued"
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
    SyncRecord.objects.update(started_at=end - timedelta(seconds=took_s), finished_at=end)
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
    """As a move does: the record is locked before its event gets an id."""
    session.execute(
        "SELECT 1 FROM syncjobs_syncrecord WHERE id = %s FOR NO KEY UPDATE", [record.pk]
    )
    session.execute(
        "INSERT INTO syncjobs_syncevent (record_id, at, event, from_state, to_state, token, reason,"
        " data) VALUES (%s, now(), 'guard_stopped', 'running', 'held', 0, '', '{}')",
        [record.pk],
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


def test_what_is_settled_is_counted_while_others_are_under_way(
    sshd: Sshd, source: Path, session: Any
) -> None:
    """Where some transaction is always open, one that began after the mark holds up nothing."""
    connector = make_connector(sshd.target(source))
    first, second, third = (enqueue(make_job(connector), trigger=Trigger.MANUAL) for _ in range(3))
    with closing(open_session(statement_timeout_s=10, name="test")) as early:
        early.execute("BEGIN")
        insert_event(early, first)
        move(second.pk, Event.CANCELLED)
        count_events()  # marks, and has to wait for `early`
        with session.transaction():
            insert_event(session, third)
            count_events()
            assert counts() == {}
            early.execute("COMMIT")
            count_events()
            assert counts() == {"guard_stopped": 1, "cancelled": 1}
    for _ in range(2):
        count_events()
    assert counts() == {"guard_stopped": 2, "cancelled": 1}


def test_many_counters_at_once_count_once(job: SyncJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_AT_ONCE", 3)
    record = enqueue(job, trigger=Trigger.MANUAL)
    SyncEvent.objects.bulk_create(
        SyncEvent(record=record, event="interrupted", from_state="running", to_state="queued")
        for _ in range(400)
    )
    ready = threading.Barrier(4)

    def count(_: int) -> None:
        connection.ensure_connection()
        ready.wait(20)
        while count_events():
            pass
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))

    def has_counted() -> bool:
        """What others in the cluster have begun (a vacuum) puts the counting off, and nothing else."""
        count_events()
        return bool(counts())

    until(has_counted, "nothing was counted")
    until(lambda: count_events() == 0, "the counting did not end")
    assert counts() == {"interrupted": 400}


def test_totals_stay_when_records_go(job: SyncJob) -> None:
    run(job)
    count_events()
    before = list(EventTotal.objects.values())
    SyncRecord.objects.all().delete()
    count_events()
    assert list(EventTotal.objects.values()) == before


def test_a_restored_dump_counts_on(job: SyncJob) -> None:
    """Its transaction numbers begin anew, below those that the old cluster had drawn."""
    run(job)
    count_events()
    run(job)
    highest = SyncEvent.objects.order_by("-pk")[0].pk
    CountingMark.objects.update(seen_id=highest, seen_xid=1 << 50)
    count_events()
    assert counts()["succeeded"] == 2
