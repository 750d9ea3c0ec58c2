"""A cancel is obeyed within seconds, whatever the record is at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from datasets.models import Version
from syncjobs.claims.claiming import claim
from syncjobs.claims.leasing import RECORDS
from syncjobs.claims.reaping import reap_cancelled
from syncjobs.core.states import Event, State
from syncjobs.engine.progress import Progress
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from syncjobs.records.transition import move
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sshd import Sshd
from tests.rows import at_work, fill, fresh, make_connector, make_job
from tests.waiting import BUSY, until

pytestmark = pytest.mark.django_db(transaction=True)

PROMISE_S = 10


def assert_cancelled(record: SyncRecord) -> None:
    cancel(record.pk, by="a person")
    until(
        lambda: fresh(record).state == State.CANCELLED,
        "the cancel was not obeyed",
        within_s=PROMISE_S / BUSY,
    )
    event = record.events.order_by("-id")[0]
    assert (event.event, "by a person" in event.reason) == ("stopped", True)
    assert not Version.objects.exists()


def job_on(host: ScriptedHttp) -> SyncJob:
    return make_job(make_connector(host.target(), kind="http"))


def test_while_a_host_says_nothing_to_the_listing() -> None:
    def silent(request: Request, to: Conversation) -> None:
        to.wait(60)

    with scripted_http(silent) as host, at_work(job_on(host)) as record:
        until(lambda: host.requests, "the host was not asked")
        assert_cancelled(record)


def test_while_a_body_stands_still() -> None:
    def half(request: Request, to: Conversation) -> None:
        if request.target == "/":
            to.answer(b'<a href="a.bin">a.bin</a>', "Content-Type: text/html")
            return
        to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 100_000)
        to.wait(60)

    with scripted_http(half) as host, at_work(job_on(host)) as record:
        until(lambda: fresh(record).bytes_transferred > 0, "nothing came")
        assert_cancelled(record)


@pytest.fixture
def slow_insert(transactional_db: None) -> Iterator[Callable[[str], None]]:
    """Makes inserts into a table take a minute, as with millions of rows."""
    slowed: list[str] = []

    def slow(table: str) -> None:
        slowed.append(table)
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE OR REPLACE FUNCTION take_a_minute() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
            )
            cursor.execute(
                f"CREATE TRIGGER slow BEFORE INSERT ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION take_a_minute()"
            )

    yield slow
    with connection.cursor() as cursor:
        for table in slowed:
            cursor.execute(f"DROP TRIGGER slow ON {table}")


def is_sleeping() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            " AND datname = current_database()"
        )
        row: Any = cursor.fetchone()
    return bool(row[0])


def test_while_the_version_is_published(
    sshd: Sshd, source: Path, slow_insert: Callable[[str], None]
) -> None:
    """The statement under way is cut off: the whole transaction is undone."""
    fill(source, {"a.txt": b"x"})
    slow_insert("datasets_entry")
    with at_work(make_job(make_connector(sshd.target(source)))) as record:
        until(is_sleeping, "it did not come to publishing")
        assert_cancelled(record)
    assert record.events.order_by("-id")[0].data == {}  # the worker itself obeyed


def test_while_a_call_never_returns(sshd: Sshd, source: Path) -> None:
    """Nobody asks the lease any more: the reaper answers in the worker's place."""
    fill(source, {"a.txt": b"x"})
    gate = threading.Event()
    job = make_job(make_connector(sshd.target(source)))
    record = enqueue(job, trigger=Trigger.MANUAL)
    heart = Heart("worker")
    held = claim(record.pk, "worker")
    assert held is not None
    progress = Progress()
    lease = heart.hold(RECORDS, held, progress)

    def alive_but_deaf() -> None:
        while not gate.wait(0.2):
            progress.moved()

    thread = threading.Thread(target=alive_but_deaf)
    thread.start()
    try:
        cancel(record.pk, by="a person")
        until(reap_cancelled, "nobody answered", within_s=PROMISE_S / BUSY)
        assert (fresh(record).state, record.verdict) == (State.CANCELLED, "cancel.unanswered")
        assert move(record.pk, Event.SUCCEEDED, token=held.token) is None
    finally:
        gate.set()
        thread.join(10)
        heart.release(lease)


def test_while_it_waits_for_its_next_attempt(sshd: Sshd, source: Path) -> None:
    record = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    move(record.pk, Event.RETRY_SCHEDULED)
    assert cancel(record.pk, by="a person")
    assert fresh(record).state == State.CANCELLED


def test_while_it_is_held(sshd: Sshd, source: Path) -> None:
    record = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    move(record.pk, Event.GUARD_STOPPED)
    assert cancel(record.pk, by="a person")
    assert fresh(record).state == State.CANCELLED
