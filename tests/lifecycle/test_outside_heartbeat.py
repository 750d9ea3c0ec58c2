"""A watcher outside hears from beat while beat dispatches, whatever the watcher does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from syncjobs.claims.pulsing import BEAT, note_pulse
from syncjobs.upkeep import outside
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.waiting import until

pytestmark = pytest.mark.django_db


def is_free() -> bool:
    if outside._lock.acquire(blocking=False):
        outside._lock.release()
        return True
    return False


@pytest.fixture(autouse=True)
def _alone(settings: Any) -> Iterator[None]:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    yield
    until(is_free, "the fetch did not end")


def watch_at(settings: Any, port: int) -> None:
    url = f"http://127.0.0.1:{port}/ping/5ecret?rid=1"
    settings.SYNC = replace(settings.SYNC, heartbeat_url=url)


def pass_a_minute() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE syncjobs_pulse SET at = at - interval '60 s' WHERE part = 'heartbeat'"
        )


def test_one_beat_tells_the_watcher_each_minute_while_what_is_due_is_dispatched(
    settings: Any,
) -> None:
    with scripted_http(lambda _, conversation: conversation.answer(b"OK")) as watcher:
        watch_at(settings, watcher.port)
        assert not outside.tell_outside("beat1")  # nobody has dispatched
        note_pulse(BEAT, holder="beat1")
        assert outside.tell_outside("beat1")
        until(lambda: len(watcher.requests) == 1 and is_free(), "nobody came")
        assert not outside.tell_outside("beat2")
        pass_a_minute()
        assert outside.tell_outside("beat2")
        until(lambda: len(watcher.requests) == 2 and is_free(), "nobody came")
    assert {(one.method, one.target) for one in watcher.requests} == {("GET", "/ping/5ecret?rid=1")}


def test_a_watcher_that_hangs_holds_nobody_up(settings: Any) -> None:
    released = threading.Event()

    def hang(_: Request, conversation: Conversation) -> None:
        released.wait(60)
        conversation.answer(b"OK")

    with scripted_http(hang) as watcher:
        watch_at(settings, watcher.port)
        note_pulse(BEAT, holder="beat1")
        assert outside.tell_outside("beat1")  # it returns while the watcher hangs
        until(lambda: len(watcher.requests) == 1, "nobody came")
        pass_a_minute()
        assert not outside.tell_outside("beat1")  # one at a time
        released.set()
        until(is_free, "the fetch did not end")


def test_a_watcher_that_fails_is_logged_without_its_url(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_http(lambda _, conversation: conversation.answer(status="500 No")) as watcher:
        watch_at(settings, watcher.port)
        note_pulse(BEAT, holder="beat1")
        assert outside.tell_outside("beat1")
        until(lambda: "heartbeat.refused" in caplog.text, "it was not logged")
    until(is_free, "the fetch did not end")
    pass_a_minute()
    settings.ALLOWED_NETWORKS = []
    assert outside.tell_outside("beat1")
    until(lambda: "network_forbidden" in caplog.text, "it was not logged")
    assert "5ecret" not in caplog.text


def test_without_a_watcher_nothing_happens() -> None:
    note_pulse(BEAT, holder="beat1")
    assert not outside.tell_outside("beat1")
