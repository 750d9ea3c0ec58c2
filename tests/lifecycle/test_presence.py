"""Worker processes and never-resting parts tell of themselves, and nothing stops them from it."""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from database.sessions import open_session
from datasets.store import ensure_store, find_known_store
from syncjobs.claims import presence, pulsing
from syncjobs.claims.presence import Load, Presence
from syncjobs.models import ProcessSign, Pulse
from syncjobs.upkeep.workers import Worker
from tasks.beat import SyncScheduler
from tests.servers import servers
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[..., Presence]
Look = Callable[[], Load | None]


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    settings.SYNC = dataclasses.replace(settings.SYNC, presence_s=0.05)
    started: list[Presence] = []

    def start_one(name: str = "host:1:abc", look: Look | None = None) -> Presence:
        one = Presence(name, 8, look or (lambda: Load(running=3, draining=False)))
        started.append(one)
        one.appear()
        return one

    yield start_one
    for one in started:
        one.leave()


def find(name: str = "host:1:abc") -> ProcessSign | None:
    return ProcessSign.objects.filter(name=name).first()


def until_seen_again(name: str = "host:1:abc") -> None:
    ProcessSign.objects.filter(name=name).update(seen_at=Now() - timedelta(minutes=5))
    recent = ProcessSign.objects.filter(name=name, seen_at__gt=Now() - timedelta(minutes=1))
    until(recent.exists, "it did not tell of itself again")


def test_a_worker_tells_of_itself_and_goes_without_a_trace(start: Start) -> None:
    one = start()
    row = until(find, "it did not tell of itself")
    assert row is not None
    assert (row.slots, row.running, row.draining) == (8, 3, False)
    born = row.started_at
    until_seen_again()
    assert (row.part, row.host, row.session) == ("worker", socket.gethostname(), os.getsid(0))
    row.refresh_from_db()
    assert abs(row.started_at - born) < timedelta(seconds=1)
    one.leave()
    assert find() is None
    assert not any(thread.name == "presence host:1:abc" for thread in threading.enumerate())


def test_what_stands_still_is_silent_though_its_thread_lives(start: Start) -> None:
    asked = threading.Semaphore(0)

    def look() -> None:
        asked.release()

    start(look=look)
    assert asked.acquire(timeout=10)
    assert asked.acquire(timeout=10)  # so its first turn is over
    assert find() is None


def test_beat_is_silent_where_its_loop_does_not_come_round(settings: Settings) -> None:
    scheduler = SyncScheduler(app=current_app, lazy=True)
    assert scheduler.look() is not None
    settings.SYNC = dataclasses.replace(settings.SYNC, silent_s=0)
    assert scheduler.look() is None


def test_a_worker_tells_what_it_has_to_do() -> None:
    ensure_store()
    worker = Worker(2)
    seen: list[Load] = []

    def look(*_: Any) -> None:
        seen.append(worker._look())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncjobs.upkeep.workers.execute_attempt", look)
        worker.work_on(uuid.uuid4())
    look()
    worker.drain()
    look()
    assert seen == [Load(1, False), Load(0, False), Load(0, True)]


def test_a_process_tells_which_store_it_sees(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    ensure_store()
    start()
    row = until(find, "it did not tell of itself")
    assert row is not None
    assert row.store_id == find_known_store() is not None
    settings.STORE_ROOT = tmp_path / "unmounted"
    blind = ProcessSign.objects.filter(store_id=None)
    until(blind.exists, "it did not tell that its store is away")


def test_rows_of_workers_long_gone_are_swept(start: Start) -> None:
    for name, age in (("gone", timedelta(minutes=61)), ("dead", timedelta(minutes=59))):
        then = Now() - age
        ProcessSign.objects.create(name=name, slots=8, started_at=then, seen_at=then)
    start()
    until(lambda: find("gone") is None, "the row stayed")
    assert find("dead") is not None


def test_q05_presence_outlives_a_restart_of_the_database(start: Start) -> None:
    start()
    until(find, "it did not tell of itself")
    database = servers().postgres
    connection.close()
    database.stop()
    database.start()
    database.wait_until_ready()
    until_seen_again()


def test_presence_survives_what_is_no_database_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D06: no file descriptor for its session, once."""
    tries: list[int] = []

    def open_at_second(**words: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return open_session(**words)

    monkeypatch.setattr(presence, "open_session", open_at_second)
    start()
    until(find, "its thread stopped")
    assert len(tries) == 2


def age_s(part: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        (now,) = cursor.fetchone()
    return float((now - Pulse.objects.get(part=part).at).total_seconds())


def backdate(part: str, seconds: float) -> None:
    Pulse.objects.filter(part=part).update(at=Now() - timedelta(seconds=seconds))


def test_a_pulse_is_written_no_more_often_than_asked() -> None:
    pulsing.note_pulse("beat", holder="one")
    pulsing.note_pulse("beat", holder="two", at_most_every_s=60)
    assert Pulse.objects.get().holder == "one"
    backdate("beat", 61)
    pulsing.note_pulse("beat", holder="two", at_most_every_s=60)
    assert Pulse.objects.get().holder == "two"
    assert age_s("beat") < 60


def test_the_oldest_unanswered_bell_keeps_its_time() -> None:
    pulsing.note_canary_rung("sync", holder="beat")
    backdate("rung:sync", 100)
    pulsing.note_canary_rung("sync", holder="beat")  # nobody ever answered
    assert age_s("rung:sync") >= 100
    pulsing.note_canary_answered("sync", holder="worker")
    pulsing.note_canary_rung("sync", holder="beat")
    assert age_s("rung:sync") < 100
    backdate("rung:sync", 50)
    backdate("queue:sync", 80)
    pulsing.note_canary_rung("sync", holder="beat")  # the bell of 50 s ago is still unanswered
    assert 50 <= age_s("rung:sync") < 80
