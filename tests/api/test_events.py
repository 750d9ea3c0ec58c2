"""A record's events by SSE: read from a server on its socket, while a worker's thread executes the record."""

from __future__ import annotations

import dataclasses
import gc
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from api.rest import events
from farends.http.transport import HttpOptions, HttpSecret
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tests.api.asking import TREE, Asker, asker
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.rows import executing, make_connector, make_job, make_workspace
from tests.waiting import until
from workspaces.models import ApiToken, Member, Role
from workspaces.places import streams
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)


@dataclasses.dataclass(frozen=True)
class Told:
    kind: str
    data: dict[str, Any]
    number: int | None


class Listener:
    """Reads a stream as an EventSource does; comments and `retry` are kept apart."""

    def __init__(self, server: str, token: str, record: SyncRecord, **headers: str) -> None:
        where = urlsplit(server)
        self.connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
        signed = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self.connection.request(
            "GET",
            f"/api/workspaces/{record.workspace.name}/sync-records/{record.pk}/events",
            headers=signed | headers,
        )
        self.answer = self.connection.getresponse()
        self.others: list[str] = []

    def __iter__(self) -> Iterator[Told]:
        fields: dict[str, str] = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line != "\n":
                fields[name] = value
            elif "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                yield Told(fields["event"], json.loads(fields["data"]), number)
                fields = {}
            else:
                self.others += [f"{name}:{value}" for name, value in fields.items()]
                fields = {}

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@contextmanager
def listening(server: LiveServer, token: str, record: SyncRecord, **headers: str) -> Iterator[Any]:
    listener = Listener(server.url, token, record, **headers)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def waiting_host() -> Iterator[tuple[SyncJob, threading.Event]]:
    """A job whose host gives the second half of a file when the event is set."""
    go = threading.Event()

    def script(request: Request, to: Conversation) -> None:
        if request.target == "/":
            to.answer(b'<a href="a.bin">a.bin</a>', "Content-Type: text/html")
            return
        if request.method == "HEAD":
            to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
            return
        to.say(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        assert go.wait(60)
        to.say(b"y" * 100_000)

    with scripted_http(script) as host:
        yield make_job(make_connector(host.target(), kind="http")), go


def open_streams() -> int:
    gc.collect()
    return streams.count


@pytest.fixture
def program() -> Iterator[Asker]:
    yield asker()
    until(lambda: open_streams() == 0, "a place was not given back")


def test_a_record_is_watched_from_the_queue_to_its_end(
    live_server: LiveServer, program: Asker
) -> None:
    with waiting_host() as (job, go):
        record = enqueue(job, trigger=Trigger.MANUAL)
        with listening(live_server, program.token, record) as listener:
            assert listener.answer.status == 200
            assert listener.answer.headers["Content-Type"] == "text/event-stream"
            assert listener.answer.headers["Cache-Control"] == "no-store"
            told = iter(listener)
            first = next(told)
            assert (first.kind, first.data["state"], first.number) == ("progress", "queued", None)
            with executing(record):
                heard = []
                for one in told:
                    heard.append(one)
                    if one.kind == "progress" and one.data["bytes_transferred"]:
                        go.set()
    moves = [one.data["event"] for one in heard if one.kind == "event"]
    assert moves == ["claimed", "succeeded"]
    assert any(one.kind == "progress" and one.data["state"] == "running" for one in heard)
    assert (heard[-1].kind, heard[-1].data["state"]) == ("end", "succeeded")
    assert heard[-1].data["files_added"] == 1
    assert f"retry:{events.RETRY_MS}" in listener.others
    listed = program.items(f"sync-records/{record.pk}/events", limit=1)
    assert [one["event"] for one in listed] == moves
    assert [one.number for one in heard if one.kind == "event"] == [one["id"] for one in listed]
    assert listed[0]["data"] == heard[0].data["data"]


def test_a_client_that_comes_back_misses_nothing_and_hears_nothing_twice(
    live_server: LiveServer, program: Asker
) -> None:
    with waiting_host() as (job, go):
        record = enqueue(job, trigger=Trigger.MANUAL)
        go.set()
        with executing(record):
            pass
    first, last = record.events.order_by("pk").values_list("pk", flat=True)
    with listening(live_server, program.token, record) as listener:
        whole = [one.number for one in listener]
    assert whole == [first, last, None]
    with listening(live_server, program.token, record, **{"Last-Event-ID": str(first)}) as listener:
        assert [one.number for one in listener] == [last, None]
    with listening(live_server, program.token, record, **{"Last-Event-ID": str(last)}) as listener:
        assert listener.answer.status == 204
    wrong = program.get(f"sync-records/{record.pk}/events", Last_Event_ID="x")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["Last-Event-ID"])


def test_streams_are_counted_by_token_and_in_all(
    live_server: LiveServer, program: Asker, settings: Settings
) -> None:
    settings.SYNC = dataclasses.replace(
        settings.SYNC, sse_max_streams=2, sse_max_streams_per_token=1
    )
    other, third = asker(name="other"), asker(name="third")
    with waiting_host() as (job, _):
        record = enqueue(job, trigger=Trigger.MANUAL)
        with listening(live_server, program.token, record) as first:
            assert first.answer.status == 200
            with listening(live_server, program.token, record) as second:
                assert second.answer.status == 429
                assert int(second.answer.headers["Retry-After"]) > 0
                assert second.answer.headers["Content-Type"] == "application/problem+json"
            with (
                listening(live_server, other.token, record) as of_other,
                listening(live_server, third.token, record) as of_third,
            ):
                assert (of_other.answer.status, of_third.answer.status) == (200, 503)
                assert int(of_third.answer.headers["Retry-After"]) > 0
            assert program.get(f"sync-records/{record.pk}/events").status_code == 200
        until(lambda: open_streams() == 0, "a client's going was not noticed")
        with listening(live_server, program.token, record) as again:
            assert again.answer.status == 200
            cancel(record.pk, by="a person")
            assert [one.kind for one in again][-1] == "end"


NOBODY = Target("192.0.2.1", 80, HttpOptions(), HttpSecret())


def test_streams_of_one_workspace_leave_others_theirs(
    live_server: LiveServer, program: Asker, settings: Settings
) -> None:
    settings.SYNC = dataclasses.replace(
        settings.SYNC, sse_max_streams=8, sse_max_streams_per_workspace=1
    )
    second = asker(name="second")
    of_else = create_token(make_workspace("else"), name="ci", role=Role.VIEWER)[1]
    with waiting_host() as (job, _):
        record = enqueue(job, trigger=Trigger.MANUAL)
        theirs = enqueue(
            make_job(make_connector(NOBODY, kind="http", workspace="else")), trigger=Trigger.MANUAL
        )
        with (
            listening(live_server, program.token, record) as first,
            listening(live_server, second.token, record) as further,
            listening(live_server, of_else, theirs) as there,
        ):
            assert [one.answer.status for one in (first, further, there)] == [200, 429, 200]
            assert int(further.answer.headers["Retry-After"]) > 0
    until(lambda: open_streams() == 0, "a client's going was not noticed")


def test_a_stream_that_nothing_happens_on_is_kept_alive_and_ends_after_its_time(
    live_server: LiveServer, program: Asker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, sse_max_s=3.0)
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 1.0)
    with waiting_host() as (job, _):
        record = enqueue(job, trigger=Trigger.MANUAL)
        with listening(live_server, program.token, record) as listener:
            assert [one.kind for one in listener] == ["progress"]
    assert ":still here" in [each.replace(": ", ":") for each in listener.others]


def test_no_session_of_the_database_is_held_between_looks(
    live_server: LiveServer, program: Asker
) -> None:
    def sessions() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            row: tuple[int] = cursor.fetchone()
        return row[0]

    with waiting_host() as (job, _):
        record = enqueue(job, trigger=Trigger.MANUAL)
        before = sessions()
        with listening(live_server, program.token, record) as listener:
            assert next(iter(listener)).kind == "progress"
            until(lambda: sessions() <= before, "a session is held")


def test_a_stream_that_nobody_reads_gives_its_place_back(program: Asker) -> None:
    with waiting_host() as (job, _):
        record = enqueue(job, trigger=Trigger.MANUAL)
        answer = program.get(f"sync-records/{record.pk}/events", Accept="text/event-stream")
        assert (answer.status_code, open_streams()) == (200, 1)
        answer.close()
        assert open_streams() == 0


@pytest.mark.parametrize("way", ["revoked", "expired", "removed", "logged out", "switched off"])
def test_a_stream_ends_when_its_caller_is_let_in_no_more(way: str) -> None:
    """At its next look, a second later: not after the ten minutes that it may last."""
    target = Target("files.example.com", 22, SftpOptions(username="sync"), SftpSecret())
    job = make_job(make_connector(target))
    record = enqueue(job, trigger=Trigger.MANUAL)
    path = f"{TREE}/sync-records/{record.pk}/events"
    client, headers = Client(), {"Accept": "text/event-stream"}
    if way in ("revoked", "expired"):
        headers["Authorization"] = f"Bearer {asker(name='listener').token}"
    else:
        user = User.objects.create_user("ada", password="x")
        Member.objects.create(workspace=job.workspace, user=user)
        client.force_login(user)
    answer = client.get(path, headers=headers)
    pieces = iter(answer.streaming_content)  # type: ignore[attr-defined]  # of a stream
    assert b"progress" in b"".join(next(pieces) for _ in range(3))
    past = timezone.now() - timedelta(seconds=1)
    change: dict[str, Callable[[], object]] = {
        "revoked": lambda: ApiToken.objects.update(revoked_at=past),
        "expired": lambda: ApiToken.objects.update(expires_at=past),
        "removed": Member.objects.all().delete,
        "logged out": client.logout,
        "switched off": lambda: User.objects.update(is_active=False),
    }
    change[way]()
    assert list(pieces) == []
    answer.close()
