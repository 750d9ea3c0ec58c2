"""Work that stands still is ended; work that is slow, or waits by choice, never is."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from datasets.models import Version
from datasets.store import open_store
from store.partials import WORTH_KEEPING_BYTES
from syncjobs.attempt.execution import execute
from syncjobs.claims.claiming import claim
from syncjobs.claims.leasing import RECORDS
from syncjobs.claims.reaping import reap
from syncjobs.core.states import Event, State
from syncjobs.engine.progress import Progress
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sshd import Sshd
from tests.partials import let_go, partial_of
from tests.rows import fill, make_connector, make_job, run
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT_S = 2.0


@pytest.fixture(autouse=True)
def _impatient(settings: Settings) -> None:
    """Silence of two seconds is a stall; the host's own clock would ring after 60."""
    settings.SYNC = dataclasses.replace(
        settings.SYNC, stall_s=LIMIT_S, publish_stall_s=LIMIT_S, heartbeat_interval_s=1
    )


def index(*names: str) -> bytes:
    return "".join(f'<a href="{name}">{name}</a>\n' for name in names).encode()


def job_on(host: ScriptedHttp, **options: Any) -> SyncJob:
    return make_job(make_connector(host.target(**options), kind="http"))


def test_a_listing_that_stands_still_ends_the_attempt() -> None:
    def silent_folder(request: Request, to: Conversation) -> None:
        if request.target == "/":
            to.answer(index("a.txt", "sub/"), "Content-Type: text/html")
        else:
            to.wait(60)

    with scripted_http(silent_folder) as host:
        record = run(job_on(host))
    assert (record.state, record.attempt, record.error_code) == (
        State.QUEUED,
        2,
        "stuck.no_progress",
    )
    assert record.verdict == "stuck.no_progress"
    assert "while detecting changes (limit 2 s)" in record.error
    event = record.events.get(event="retry_scheduled")
    told = event.data
    assert (told["rule"], told["by"], told["stage"], told["limit_s"]) == (
        "stuck.no_progress",
        "worker",
        "detecting_changes",
        LIMIT_S,
    )
    assert told["silent_s"] >= LIMIT_S


def test_a_body_that_stands_still_ends_the_attempt_and_the_last_one_fails() -> None:
    def half_a_file(request: Request, to: Conversation) -> None:
        if request.target == "/":
            to.answer(index("a.bin"), "Content-Type: text/html")
        elif request.method == "HEAD":
            to.answer()
        else:
            to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 4096)
            to.wait(60)

    with scripted_http(half_a_file) as host:
        job = job_on(host)
        SyncJob.objects.update(max_attempts=1)
        job.refresh_from_db()
        record = run(job)
    assert (record.state, record.verdict) == (State.FAILED, "stuck.no_progress")
    assert "while processing files" in record.error
    assert not Version.objects.exists()


def test_a_slow_body_is_alive() -> None:
    """Three times the limit, and something every half second."""

    def drip(request: Request, to: Conversation) -> None:
        if request.target == "/":
            to.answer(index("a.bin"), "Content-Type: text/html")
            return
        to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 24000\r\n\r\n")
        if request.method == "HEAD":
            return
        for _ in range(12):
            to.wait(0.5)
            to.say(b"x" * 2000)

    with scripted_http(drip) as host:
        record = run(job_on(host))
    assert (record.state, record.files_added) == (State.SUCCEEDED, 1), record.error


def test_folders_without_files_are_movement() -> None:
    def empty_folders(request: Request, to: Conversation) -> None:
        depth = request.target.count("/") - 1
        to.wait(0.8)
        to.answer(index("deeper/") if depth < 7 else index("a.txt"), "Content-Type: text/html")

    def with_a_file(request: Request, to: Conversation) -> None:
        if request.target.endswith("a.txt"):
            to.answer(b"x")
        else:
            empty_folders(request, to)

    with scripted_http(with_a_file) as host:
        record = run(job_on(host))
    assert (record.state, record.files_added) == (State.SUCCEEDED, 1), record.error


def test_a_wait_for_the_bandwidth_is_movement(sshd: Sshd, source: Path, settings: Settings) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, stall_s=0.5, publish_stall_s=5)
    fill(source, {"a.bin": os.urandom(60_000)})
    connector = make_connector(sshd.target(source))
    connector.options["bandwidth_bytes_per_s"] = 16_384
    connector.save()
    record = run(make_job(connector))
    assert (record.state, record.files_added) == (State.SUCCEEDED, 1), record.error


def test_a_host_that_was_granted_more_silence_has_it() -> None:
    def late_folder(request: Request, to: Conversation) -> None:
        if request.target == "/":
            to.answer(index("sub/"), "Content-Type: text/html")
        elif request.target == "/sub/":
            to.wait(LIMIT_S * 2)
            to.answer(index("a.txt"), "Content-Type: text/html")
        else:
            to.answer(b"x")

    with scripted_http(late_folder) as host:
        record = run(job_on(host, idle_timeout_s=30.0))
    assert record.state == State.SUCCEEDED, record.error


@pytest.fixture
def blocked(sshd: Sshd, source: Path) -> Iterator[tuple[SyncJob, Path]]:
    """A job whose sync comes to a call that never returns: what an earlier attempt left of its file is a
    FIFO that nobody writes to."""
    fill(source, {"large.bin": os.urandom(WORTH_KEEPING_BYTES + 1000)})
    job = make_job(make_connector(sshd.target(source)))
    store = open_store(job.workspace_id)
    store.prepare()
    left = partial_of(job, store)
    left.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(left)
    yield job, left
    let_go(left)


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    def run_it() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run_it)
    thread.start()
    return thread


def test_a_thread_that_never_comes_back_loses_its_record_and_writes_nothing(
    blocked: tuple[SyncJob, Path], settings: Settings
) -> None:
    job, fifo = blocked
    settings.SYNC = dataclasses.replace(settings.SYNC, hung_s=1)
    record = enqueue(job, trigger=Trigger.MANUAL)
    heart = Heart("worker")
    told: list[str] = []
    heart.retire = lambda: told.append("retire")
    heart.leave = lambda: told.append("leave")
    thread = in_thread(lambda: execute(record.pk, heart))
    try:
        until(lambda: reap(young_s=0) == 1, "the reaper left it", within_s=40)
        record.refresh_from_db()
        assert (record.state, record.verdict) == (State.QUEUED, "stuck.no_progress")
        assert record.attempt == 2
        evidence = record.events.get(event="retry_scheduled").data
        assert (evidence["by"], evidence["owner"]) == ("reaper", "worker")
        assert evidence["seconds"] > LIMIT_S
        assert evidence["heartbeat_at"] > evidence["progress_at"]
        until(lambda: "leave" in told, "the process was not to be replaced")
        assert told[0] == "retire"
        assert heart.draining
        SyncRecord.objects.update(not_before=None)
        assert execute(record.pk, heart) == State.QUEUED  # a process that retires takes nothing
    finally:
        let_go(fifo)
        thread.join(20)
    assert not thread.is_alive()
    record.refresh_from_db()
    assert record.state == State.QUEUED
    assert not Version.objects.exists()


def test_a_thread_that_hangs_waits_for_the_other_records_of_its_process(
    blocked: tuple[SyncJob, Path], settings: Settings, sshd: Sshd, source: Path
) -> None:
    job, fifo = blocked
    settings.SYNC = dataclasses.replace(settings.SYNC, hung_s=1)
    record = enqueue(job, trigger=Trigger.MANUAL)
    other = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    heart = Heart("worker")
    told: list[str] = []
    heart.retire = lambda: told.append("retire")
    heart.leave = lambda: told.append("leave")
    held = claim(other.pk, "worker")
    assert held is not None
    progress = Progress()
    lease = heart.hold(RECORDS, held, progress)
    thread = in_thread(lambda: execute(record.pk, heart))
    try:

        def reaped() -> bool:
            progress.moved()
            return reap(young_s=0) == 1

        until(reaped, "the reaper left it", within_s=40)
        until(lambda: "retire" in told, "the process does not retire")
        assert "leave" not in told
        heart.release(lease)
        until(lambda: "leave" in told, "the process stays")
    finally:
        let_go(fifo)
        thread.join(20)


def test_progress_is_told_apart_from_the_heartbeat(sshd: Sshd, source: Path) -> None:
    record = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    heart, progress = Heart("worker"), Progress()
    held = claim(record.pk, "worker")
    assert held is not None
    lease = heart.hold(RECORDS, held, progress)
    try:
        lagging = SyncRecord.objects.filter(pk=record.pk)

        def lag_s() -> float:
            row = lagging.values_list("heartbeat_at", "progress_at")[0]
            assert row[0] is not None
            assert row[1] is not None
            return float((row[0] - row[1]).total_seconds())

        until(lambda: lag_s() > 1.5, "the heartbeat hides that nothing moves")
        progress.received(1)
        until(lambda: lag_s() < 1.0, "movement is not told")
        # A jump of the database's clock makes nothing look stuck for longer than a heartbeat.
        lagging.update(progress_at=Now() - timedelta(hours=1))
        until(lambda: lag_s() < 60, "the jump stays")
    finally:
        heart.release(lease)
        move(record.pk, Event.INTERRUPTED)
