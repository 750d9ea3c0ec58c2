"""What holds a web thread for long is bounded: in all, and for each workspace, so that none silences the others."""

from __future__ import annotations

import contextlib
import gc
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client

from connectors.models import Connector
from embedded.ports import find_free
from farends.http.transport import HttpOptions, HttpSecret
from farends.spec import Target
from syncjobs.models import SyncJob
from tests.api.asking import TREE, asker
from tests.hosts.gunicorn import running_gunicorn
from tests.hosts.scripted_http import scripted_http
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, make_workspace, run
from workspaces.models import Role
from workspaces.places import (
    CALLS_MAX,
    CALLS_OF_WORKSPACE,
    DOWNLOADS_MAX,
    DOWNLOADS_OF_WORKSPACE,
    NoPlace,
    Pieces,
    Slots,
    calls,
    downloads,
)
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
LARGE = bytes(range(256)) * 40_000  # 10 MB: more than the kernel takes in for who does not read


@contextlib.contextmanager
def taken(places: Slots, count: int, whose: str = "") -> Iterator[None]:
    with contextlib.ExitStack() as held:
        for _ in range(count):
            held.enter_context(places.held(1000, {whose or str(uuid4()): 1000}))
        yield


def test_a_place_is_given_back_whatever_becomes_of_it() -> None:
    places = Slots()
    with places.held(1, {"a": 1}), pytest.raises(NoPlace) as full, places.held(1, {"b": 1}):
        pass
    assert not full.value.ours
    with places.held(5, {"a": 1}), pytest.raises(NoPlace) as own, places.held(5, {"b": 1, "a": 1}):
        pass
    assert own.value.ours
    assert places.count == 0
    for end in ("exhausted", "closed", "forgotten"):
        places.take(1, {"a": 1})
        pieces = Pieces(iter([b"x"]), places, ("a",))
        if end == "exhausted":
            assert list(pieces) == [b"x"]
        if end == "closed":
            pieces.close()
        del pieces
        gc.collect()
        assert places.count == 0, end


def test_one_thread_waits_for_a_place_and_others_are_refused_at_once() -> None:
    places, told = Slots(), queue.SimpleQueue[str]()

    def ask() -> None:
        try:
            places.take(1, {"a": 1}, within_s=60)
        except NoPlace:
            told.put("refused")
        else:
            told.put("let in")

    with places.held(1, {"a": 1}):
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert told.get(timeout=30) == "refused"
    assert told.get(timeout=30) == "let in"
    for thread in threads:
        thread.join()
    with pytest.raises(NoPlace):
        places.take(1, {"a": 1}, within_s=0.001)


@pytest.fixture
def silent() -> Iterator[Connector]:
    """Its host takes connections and says nothing."""
    with scripted_http(lambda request, conversation: None) as host:
        yield make_connector(
            Target("127.0.0.1", host.port, HttpOptions(), HttpSecret()), kind="http"
        )


@pytest.mark.parametrize("what", ["test", "browse"])
def test_calls_to_far_ends_are_few_at_once(silent: Connector, what: str) -> None:
    ours = asker(Role.ADMIN)
    ask = ours.post if what == "test" else ours.get
    path = f"connectors/{silent.name}/{what}"
    with taken(calls, CALLS_OF_WORKSPACE, str(silent.workspace_id)):
        refused = ask(path)
        assert (refused.status_code, refused["Retry-After"]) == (429, "5")
        assert "far ends of this workspace are being called" in refused.json()["detail"]
        dead = Target("127.0.0.1", find_free(), HttpOptions(), HttpSecret())
        theirs = make_connector(dead, kind="http", workspace="else")
        token = create_token(make_workspace("else"), name="ci", role=Role.ADMIN)[1]
        there = f"/api/workspaces/else/connectors/{theirs.name}/{what}"
        send = Client().post if what == "test" else Client().get
        answer = send(there, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code in (200, 502)
    with taken(calls, CALLS_MAX):
        refused = ask(path)
        assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    assert calls.count == 0


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"large.bin": LARGE, "small.txt": b"small"})
    job = make_job(make_connector(sshd.target(source)), name="files")
    run(job)
    return job


def test_downloads_are_bounded_and_short_ones_are_not(job: SyncJob) -> None:
    program = asker()
    with taken(downloads, DOWNLOADS_OF_WORKSPACE, str(job.workspace_id)):
        refused = program.get("datasets/files/files/large.bin")
        assert (refused.status_code, refused["Retry-After"]) == (429, "5")
        short = [
            program.head("datasets/files/files/large.bin"),
            program.get("datasets/files/files/small.txt"),
            program.get("datasets/files/files/large.bin", Range="bytes=0-9"),
        ]
        assert [one.status_code for one in short] == [200, 200, 206]
        for one in short:
            one.close()
    with taken(downloads, DOWNLOADS_MAX):
        assert program.get("datasets/files/files/large.bin").status_code == 503
    whole = program.get("datasets/files/files/large.bin")
    assert downloads.count == 1
    assert b"".join(whole.streaming_content) == LARGE
    whole.close()
    assert downloads.count == 0


def test_the_web_answers_beside_downloads_that_nobody_reads(job: SyncJob, tmp_path: Path) -> None:
    """The product's own server: 40 clients ask for a file and read nothing."""
    token = asker().token
    ask = (
        f"GET {TREE}/datasets/files/files/large.bin HTTP/1.1\r\n"
        f"Host: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    with running_gunicorn(tmp_path) as port, contextlib.ExitStack() as crowd:
        for _ in range(40):
            made = crowd.enter_context(socket.socket())
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            made.connect(("127.0.0.1", port))
            made.sendall(ask.encode())
        for path in ("/health?part=web", "/console/login/", "/health"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as quick:
                quick.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
                )
                assert quick.recv(9).startswith(b"HTTP/1.1 "), path
