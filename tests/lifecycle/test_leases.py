"""Claims, fencing, the reaper: what keeps two workers from one record."""

from __future__ import annotations

import dataclasses
import errno
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from pytest_django import Settings

from database.sessions import open_session
from datasets.catalog import Catalog, Listed
from datasets.fencing import Fenced, check_fence
from datasets.models import Dataset, Receipt, Version
from datasets.receipts import Arrived, Receipts
from datasets.store import open_store
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.claims.leasing import RECORDS
from syncjobs.claims.reaping import reap
from syncjobs.core.retries import CRASHES_MAX
from syncjobs.core.states import Event, State
from syncjobs.engine.progress import Progress
from syncjobs.engine.stops import CancelAsked, DrainAsked, LeaseLost
from syncjobs.leases import heart as heart_module
from syncjobs.leases import lease as lease_module
from syncjobs.leases.heart import Heart
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import AlreadyQueued, enqueue
from syncjobs.records.asking import cancel
from syncjobs.records.transition import IllegalMove, move
from syncjobs.upkeep.sweeping import sweep_partials
from syncjobs.works.contract import Claim
from syncjobs.works.files.publishing import publish
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"{n}.txt": b"x" * n for n in range(20)})
    return make_job(make_connector(sshd.target(source)))


@pytest.fixture
def record(job: SyncJob) -> SyncRecord:
    return enqueue(job, trigger=Trigger.MANUAL)


@pytest.fixture
def session() -> Iterator[Any]:
    opened = open_session(statement_timeout_s=10, name="test")
    yield opened
    opened.close()


def take(record: SyncRecord, owner: str = "worker") -> Claim:
    held = claim(record.pk, owner)
    assert held is not None
    return held


def expire(record: SyncRecord) -> None:
    SyncRecord.objects.filter(pk=record.pk).update(lease_expires_at=Now() - timedelta(seconds=1))


def make_catalog(session: Any, held: Claim) -> Catalog:
    catalog = Catalog(
        session,
        dataset_id=held.dataset_id,
        record_id=held.record_id,
        token=held.token,
        full=False,
    )
    catalog.stage([Listed("a.txt", 1, 10**18, None)])
    catalog.compare(lambda _: False)
    return catalog


def make_receipts(session: Any, held: Claim) -> Receipts:
    return Receipts(
        lambda: session, dataset_id=held.dataset_id, record_id=held.record_id, token=held.token
    )


ARRIVED = Arrived(Listed("a.txt", 1, 10**18, None), 1, 10**18, None, b"\1" * 32, settled=True)


def test_of_many_bells_one_claims(record: SyncRecord) -> None:
    def answer(number: int) -> Claim | None:
        try:
            return claim(record.pk, f"worker {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        claims = [held for held in pool.map(answer, range(40)) if held is not None]
    assert len(claims) == 1
    record.refresh_from_db()
    assert (record.state, record.lease_owner) == (State.RUNNING, claims[0].owner)
    assert record.events.filter(event="claimed").count() == 1


def test_the_token_grows_at_every_claim(record: SyncRecord) -> None:
    tokens = []
    for _ in range(3):
        held = take(record)
        tokens.append(held.token)
        move(record.pk, Event.INTERRUPTED, token=held.token)
    assert tokens == sorted(set(tokens))


def test_running_without_a_lease_cannot_be_stored(record: SyncRecord) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        SyncRecord.objects.filter(pk=record.pk).update(state=State.RUNNING)


def test_one_running_record_per_job(job: SyncJob, record: SyncRecord) -> None:
    take(record)
    second = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(second.pk, "other") is None
    second.refresh_from_db()
    assert second.waiting_for == "the running record of the same job"


def test_one_queued_record_per_job(job: SyncJob, record: SyncRecord) -> None:
    with pytest.raises(AlreadyQueued) as caught:
        enqueue(job, trigger=Trigger.MANUAL)
    assert caught.value.record == record


def test_the_reaper_takes_back_what_has_expired_and_only_that(
    record: SyncRecord, sshd: Sshd, source: Path
) -> None:
    live = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    take(live)
    held = take(record)
    assert reap(young_s=0) == 0
    expire(record)
    assert reap(young_s=0) == 1
    record.refresh_from_db()
    live.refresh_from_db()
    assert (record.state, live.state) == (State.QUEUED, State.RUNNING)
    assert (record.crash_count, record.attempt) == (1, 1)
    assert take(record).token > held.token


def test_a_record_whose_workers_keep_dying_is_quarantined(record: SyncRecord) -> None:
    for _ in range(CRASHES_MAX):
        SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
        take(record)
        expire(record)
        reap(young_s=0)
    record.refresh_from_db()
    assert (record.state, record.error_code) == (State.FAILED, "quarantined")


def test_the_reaper_leaves_alone_what_its_owner_is_publishing(
    record: SyncRecord, session: Any
) -> None:
    held = take(record)
    expire(record)
    catalog = make_catalog(session, held)
    with session.transaction(), session.cursor() as cursor:
        check_fence(cursor, catalog.parameters)
        assert reap(young_s=0) == 0
    assert reap(young_s=0) == 1


def test_a_fenced_worker_writes_nothing(record: SyncRecord, session: Any) -> None:
    held = take(record, "zombie")
    catalog = make_catalog(session, held)
    expire(record)
    reap(young_s=0)
    take(record, "successor")
    with pytest.raises(Fenced):
        make_receipts(session, held).settle([ARRIVED])
    with pytest.raises(Fenced):
        publish(session, held, catalog, removals=True, troubles=[])
    assert move(record.pk, Event.SUCCEEDED, token=held.token) is None
    assert not Receipt.objects.exists()
    assert not Version.objects.exists()
    record.refresh_from_db()
    assert (record.state, record.lease_owner) == (State.RUNNING, "successor")


def test_the_holder_of_the_token_publishes(record: SyncRecord, session: Any) -> None:
    """The control to the test above: with the right token the same calls do write."""
    held = take(record)
    catalog = make_catalog(session, held)
    make_receipts(session, held).settle([ARRIVED])
    assert publish(session, held, catalog, removals=True, troubles=[]).number == 1


def test_what_is_fetched_is_kept_for_the_next_attempt(record: SyncRecord, session: Any) -> None:
    held = take(record)
    make_receipts(session, held).settle([ARRIVED])
    move(record.pk, Event.INTERRUPTED, token=held.token)
    again = make_catalog(session, take(record))
    assert list(again.iter_wanted()) == []


def test_a_receipt_of_another_fingerprint_is_not_used(record: SyncRecord, session: Any) -> None:
    held = take(record)
    make_receipts(session, held).settle([ARRIVED])
    again = Catalog(
        session,
        dataset_id=held.dataset_id,
        record_id=held.record_id,
        token=held.token,
        full=False,
    )
    again.stage([Listed("a.txt", 1, 10**18 + 1, None)])
    again.compare(lambda _: False)
    assert [file.path for file in again.iter_wanted()] == ["a.txt"]


def test_a_queued_record_is_cancelled_at_once(record: SyncRecord) -> None:
    assert cancel(record.pk, by="a person")
    record.refresh_from_db()
    assert record.state == State.CANCELLED
    assert not cancel(record.pk, by="a person")
    assert execute(record.pk, Heart("test")) is None


def test_a_running_record_learns_of_its_cancel_by_heartbeat(record: SyncRecord) -> None:
    heart = Heart("worker")
    lease = heart.hold(RECORDS, take(record), Progress())
    cancel(record.pk, by="a person")
    try:
        until(lambda: _raises(lease.check, CancelAsked), "the cancel did not arrive")
    finally:
        heart.release(lease)


def test_a_cancelled_record_of_a_dead_worker_ends_cancelled(record: SyncRecord) -> None:
    take(record)
    cancel(record.pk, by="a person")
    expire(record)
    reap(young_s=0)
    record.refresh_from_db()
    assert record.state == State.CANCELLED


def test_a_heartbeat_that_finds_no_row_loses_the_lease(record: SyncRecord) -> None:
    heart = Heart("worker")
    lease = heart.hold(RECORDS, take(record), Progress())
    Dataset.objects.update(fencing_token=99)
    SyncRecord.objects.filter(pk=record.pk).update(token=99)
    try:
        until(lambda: _raises(lease.check, LeaseLost), "the loss was not noticed")
    finally:
        heart.release(lease)


def test_a_drained_worker_gives_its_record_back_without_an_attempt(record: SyncRecord) -> None:
    heart = Heart("worker")
    heart.drain()
    assert execute(record.pk, heart) == State.QUEUED
    record.refresh_from_db()
    assert (record.attempt, record.crash_count) == (1, 0)
    assert list(record.events.values_list("event", flat=True)) == ["claimed", "interrupted"]
    lease = heart.hold(RECORDS, take(record), Progress())
    with pytest.raises(DrainAsked):
        lease.check()
    heart.release(lease)


def test_a_record_that_returns_takes_the_place_of_the_one_behind_it(
    job: SyncJob, record: SyncRecord
) -> None:
    held = take(record)
    behind = enqueue(job, trigger=Trigger.MANUAL)
    move(record.pk, Event.INTERRUPTED, token=held.token)
    behind.refresh_from_db()
    record.refresh_from_db()
    assert (record.state, behind.state) == (State.QUEUED, State.CANCELLED)
    assert "serves it" in behind.events.get(event="coalesced").reason


def test_only_a_held_record_is_released(record: SyncRecord) -> None:
    with pytest.raises(IllegalMove, match="queued"):
        move(record.pk, Event.RELEASED)


def test_a_heartbeat_thread_ends_with_its_last_record(record: SyncRecord) -> None:
    heart = Heart("only-here")
    lease = heart.hold(RECORDS, take(record), Progress())
    heart.release(lease)
    until(
        lambda: all(thread.name != "heartbeat only-here" for thread in threading.enumerate()),
        "the thread stayed",
    )


def _raises(call: Any, error: type[Exception]) -> bool:
    try:
        call()
    except error:
        return True
    return False


def test_a_sweep_takes_what_nobody_came_back_for(record: SyncRecord) -> None:
    store = open_store(record.workspace_id)
    store.prepare()
    held = take(record)
    for attempt in (held.attempt_name, "gone"):
        store.create(attempt).write(b"x" * 100_000)
    assert sweep_partials() == 0
    assert sweep_partials(older_than_s=0) == 1
    move(record.pk, Event.INTERRUPTED, token=held.token)
    assert sweep_partials(older_than_s=0) == 1


def test_a_restarted_database_gives_live_owners_one_lease(record: SyncRecord) -> None:
    take(record)
    expire(record)
    assert reap(young_s=10**9) == 0
    assert reap(young_s=0) == 1


def test_most_leases_running_out_at_once_is_no_matter_of_dead_workers(
    sshd: Sshd, source: Path, settings: Settings
) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, max_per_host=0)
    connector = make_connector(sshd.target(source))
    records = [enqueue(make_job(connector), trigger=Trigger.MANUAL) for _ in range(5)]
    for number, one in enumerate(records):
        take(one, owner=f"worker {number}")
        expire(one)
    assert reap(young_s=0) == 0
    SyncRecord.objects.update(lease_expires_at=Now() - timedelta(seconds=60))
    assert reap(young_s=0) == 5


def test_p8_one_dead_worker_that_held_most_records_does_not_brake(
    sshd: Sshd, source: Path, settings: Settings
) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, max_per_host=0)
    connector = make_connector(sshd.target(source))
    records = [enqueue(make_job(connector), trigger=Trigger.MANUAL) for _ in range(5)]
    for one in records[:4]:
        take(one, owner="dead")
        expire(one)
    take(records[4], owner="alive")
    assert reap(young_s=0) == 4


def test_a_record_may_come_back_to_the_process_that_lost_it(record: SyncRecord) -> None:
    """Its two claims are two leases: the old one is lost, the new one is renewed."""
    heart = Heart("worker")
    old = heart.hold(RECORDS, take(record), Progress())
    expire(record)
    assert reap(young_s=0) == 1
    new = heart.hold(RECORDS, take(record), Progress())
    try:
        until(lambda: _raises(old.check, LeaseLost), "the old claim did not learn of its loss")
        heart.release(old)
        SyncRecord.objects.update(heartbeat_at=Now() - timedelta(seconds=60))
        new.progress.listed(1)
        until(
            lambda: SyncRecord.objects.filter(
                heartbeat_at__gt=Now() - timedelta(seconds=30)
            ).exists(),
            "the new claim was not renewed",
        )
    finally:
        heart.release(new)


def test_a_stale_heartbeat_of_the_same_process_renews_nothing(
    job: SyncJob, record: SyncRecord
) -> None:
    """P8: reaped, and claimed a second time by the process whose first thread still works on it."""
    stale = take(record)
    expire(record)
    assert reap(young_s=0) == 1
    held = take(record)
    assert stale.owner == held.owner
    marked = SyncRecord.objects.filter(pk=record.pk)
    marked.update(lease_expires_at=Now() + timedelta(hours=1), bytes_transferred=7)
    expires_at = marked.get().lease_expires_at
    progress = Progress()
    progress.received(1_000)
    heart = Heart(stale.owner)
    lease = heart.hold(RECORDS, stale, progress)
    until(lambda: lease.lost_at is not None, "the stale lease was not lost")
    heart.release(lease)
    with pytest.raises(LeaseLost):
        lease.check()
    left = marked.get()
    assert (left.token, left.lease_expires_at) == (held.token, expires_at)
    assert left.bytes_transferred == 7


@pytest.mark.parametrize("lost", [True, False])
def test_a_doubtful_lease_keeps_its_work_waiting(
    record: SyncRecord,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lost: bool,
) -> None:
    """P8: past the trust window nothing more is begun until the heartbeat is answered."""
    now = lease_module.boot_clock_s
    with monkeypatch.context() as patch:
        patch.setattr(lease_module, "boot_clock_s", lambda: now() - settings.SYNC.lease_s)
        lease = Lease(RECORDS, take(record), Progress())

    def doubted() -> bool:
        return any("lease.doubtful" in str(told.msg) for told in caplog.records)

    with ThreadPoolExecutor(1) as pool:
        checked = pool.submit(lease.check)
        until(lambda: doubted() or checked.done(), "nobody asked")
        assert not checked.done()
        if lost:
            lease.lose()
        else:
            lease.renewed(now(), Progress().snapshot)
    assert isinstance(checked.exception(), LeaseLost if lost else type(None))


def test_the_heart_survives_what_is_no_database_error(
    record: SyncRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D06: no file descriptor for its session, once."""
    tries: list[int] = []

    def open_at_second(**words: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return open_session(**words)

    monkeypatch.setattr(heart_module, "open_session", open_at_second)
    heart = Heart("worker")
    lease = heart.hold(RECORDS, take(record), Progress())
    try:
        until(lambda: lease.beaten is not None, "the heart stopped")
    finally:
        heart.release(lease)


def test_a_locked_row_does_not_hold_up_the_heartbeat_of_others(
    record: SyncRecord, sshd: Sshd, source: Path, session: Any
) -> None:
    other = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    heart = Heart("worker")
    locked, free = (heart.hold(RECORDS, take(one), Progress()) for one in (record, other))
    try:
        with session.transaction():
            session.execute(
                "SELECT 1 FROM syncjobs_syncrecord WHERE id = %s FOR UPDATE", [record.pk]
            )
            until(lambda: free.beaten is not None, "the other was held up", within_s=4)
            assert locked.beaten is None
            locked.check()
        until(lambda: locked.beaten is not None, "the locked one was forgotten")
    finally:
        heart.release(locked)
        heart.release(free)


def test_records_of_one_process_may_have_whole_and_broken_seconds(
    record: SyncRecord, sshd: Sshd, source: Path
) -> None:
    """psycopg takes no list of both, and one heartbeat is for all: none would be renewed."""
    other = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    heart = Heart("worker")
    progresses = [Progress(), Progress()]
    progresses[0].expect(7200)
    progresses[1].planned(files=1, size_bytes=1, deadline_s=300.25)
    leases = [
        heart.hold(RECORDS, take(one), progress)
        for one, progress in zip((record, other), progresses, strict=True)
    ]
    try:
        until(lambda: all(lease.beaten for lease in leases), "no heartbeat came", within_s=10)
        record.refresh_from_db()
        other.refresh_from_db()
    finally:
        for lease in leases:
            heart.release(lease)
    assert (record.deadline_s, other.deadline_s) == (7200, 300.25)


@pytest.mark.parametrize("event", [Event.RETRY_SCHEDULED, Event.GUARD_STOPPED, Event.INTERRUPTED])
def test_a_cancel_wins_over_what_would_keep_the_record_alive(
    record: SyncRecord, event: Event
) -> None:
    held = take(record)
    cancel(record.pk, by="a person")
    assert move(record.pk, event, token=held.token) is State.CANCELLED


def test_a_dry_run_takes_no_place_in_the_queue(job: SyncJob) -> None:
    dry = enqueue(job, trigger=Trigger.MANUAL, dry_run=True)
    held = take(dry)
    real = enqueue(job, trigger=Trigger.MANUAL)
    move(dry.pk, Event.INTERRUPTED, token=held.token)
    real.refresh_from_db()
    assert real.state == State.QUEUED


def test_who_takes_a_place_in_the_queue_takes_over_its_mode(
    job: SyncJob, record: SyncRecord
) -> None:
    held = take(record)
    enqueue(job, trigger=Trigger.MANUAL, mode=SyncMode.FULL)
    move(record.pk, Event.INTERRUPTED, token=held.token)
    record.refresh_from_db()
    assert record.mode == SyncMode.FULL


def test_words_that_no_database_takes_are_escaped(record: SyncRecord) -> None:
    held = take(record)
    words = "the host said \0 \x1b[31m \udcff"
    move(record.pk, Event.FAILED, token=held.token, reason=words, changes={"error": words})
    record.refresh_from_db()
    assert record.error == "the host said \\x00 \\x1b[31m \\udcff"


def test_a_running_record_says_what_its_work_waits_for(record: SyncRecord) -> None:
    held = take(record)
    heart, progress = Heart("worker"), Progress()
    lease = heart.hold(RECORDS, held, progress)

    def shown() -> tuple[str, str]:
        found = SyncRecord.objects.get(pk=record.pk)
        return found.state, found.waiting_for

    try:
        progress.waits(f"api.example.com, which asked for 3 s {'!' * 500}")
        asked = "api.example.com, which asked for 3 s"
        until(lambda: shown()[1].startswith(asked), "the record did not say it")
        assert shown()[0] == State.RUNNING
        progress.waits("")
        until(lambda: shown() == (State.RUNNING, ""), "the record still said it")
    finally:
        heart.release(lease)
