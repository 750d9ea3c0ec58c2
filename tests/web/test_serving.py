"""The web server among clients that are slow, silent or gone: none of them holds a thread."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embedded.child import PROJECT
from tests.waiting import until

pytestmark = pytest.mark.process
CROWD = 40
PATIENCE_S = 10.0  # of a client that is to be answered; nothing is to take long


@dataclass
class Web:
    port: int
    log: Path

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        made = socket.socket()
        made.settimeout(PATIENCE_S)
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.connect(("127.0.0.1", self.port))
        return made

    def say(self, text: str, receive_bytes: int = 0) -> socket.socket:
        made = self.connect(receive_bytes)
        made.sendall(text.encode())
        return made

    def ask(self, text: str) -> str:
        """The whole answer, after which the server is to close."""
        with self.say(text) as made:
            return hear(made)

    def get(self, path: str) -> str:
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def hear(made: socket.socket) -> str:
    said = bytearray()
    while data := made.recv(65_536):
        said += data
    return said.decode()


@contextlib.contextmanager
def serving(folder: Path, **limits: Any) -> Iterator[Web]:
    log = folder / "web.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "python:tests.web.small_app"],
            cwd=PROJECT,
            env=os.environ | {"SMALL_APP_LIMITS": json.dumps(limits)},
            stdout=output,
            stderr=output,
        )
    try:

        def port() -> int:
            assert process.poll() is None, log.read_text()
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text())
            return int(found[1]) if found else 0

        until(lambda: port() > 0, "the web server did not come up")
        yield Web(port(), log)
    finally:
        process.terminate()
        process.wait(90)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with serving(tmp_path, HEAD_S=60, BODY_S=60, STALL_S=60) as running:
        yield running


HALF_HEAD = "GET /quick HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = "POST /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nten bytes."
CHUNKED = "POST /quick HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"


@pytest.mark.parametrize("half", [HALF_HEAD, HALF_BODY, "G", "\r\n", ""])
def test_half_sent_requests_silence_nobody(web: Web, half: str) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(web.say(half))
        for _ in range(5):
            assert web.get("/quick").endswith("/quick 0")


def test_what_is_begun_behind_a_request_silences_nobody(web: Web) -> None:
    whole = "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(web.say(whole + HALF_HEAD))
        assert web.get("/quick").endswith("/quick 0")


def test_answers_that_nobody_reads_silence_nobody(web: Web) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(web.say("GET /short HTTP/1.1\r\nHost: x\r\n\r\n", 2048))
        for _ in range(5):
            assert web.get("/quick").endswith("/quick 0")


def test_health_answers_when_every_thread_is_taken(web: Web) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(web.say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"))
        for _ in range(5):
            assert web.get("/health?part=web").endswith("/health 0")


@pytest.mark.parametrize(
    "kept",
    [
        "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nten bytes.",
    ],
)
def test_agents_take_no_thread_and_no_turn_of_others(web: Web, kept: str) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(web.say(kept))
        for _ in range(5):
            assert web.get("/quick").endswith("/quick 0")
        long = "POST /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n"
        assert web.ask(long + "x" * 300_000).endswith("/c 300000")


def count_agents(web: Web) -> list[int]:
    """How many are served now, and the most that ever were."""
    return [int(each) for each in re.findall(r"\d+", web.get("/agents").partition("\r\n\r\n")[2])]


AGENT = "POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("others", [0, 1])
def test_agents_are_served_few_at_a_time_and_fewer_beside_others(
    tmp_path: Path, others: int
) -> None:
    limits = {"TURN_S": 3600, "MCP_AT_WORK": 3, "MCP_AT_WORK_BESIDE": 2}
    most = 2 if others else 3
    with serving(tmp_path, **limits) as web, contextlib.ExitStack() as crowd:
        for _ in range(others):
            crowd.enter_context(web.say("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"))
        agents = [crowd.enter_context(web.say(AGENT)) for _ in range(8)]
        until(lambda: count_agents(web)[0] >= 2, "no agent has its turn")
        for _ in agents:
            web.get("/let-agent-go")
        assert all(hear(agent).endswith("/mcp 0") for agent in agents)
        assert count_agents(web) == [0, most]


def test_an_agent_that_waits_for_long_keeps_no_other_waiting(tmp_path: Path) -> None:
    limits = {"TURN_S": 0.05, "MCP_AT_WORK": 1, "MCP_AT_WORK_BESIDE": 1}
    with serving(tmp_path, **limits) as web, contextlib.ExitStack() as crowd:
        for _ in range(5):
            crowd.enter_context(web.say(AGENT))
        until(lambda: count_agents(web)[0] == 5, "agents wait behind one that takes long")


def test_bodies_that_threads_read_are_few_at_a_time(tmp_path: Path) -> None:
    with (
        serving(tmp_path, HEAD_S=60, BODY_S=60, BODIES_AT_ONCE=1) as web,
        contextlib.ExitStack() as crowd,
    ):
        for _ in range(CROWD):
            crowd.enter_context(web.say(CHUNKED))
        assert web.get("/quick").endswith("/quick 0")


@pytest.mark.parametrize(
    ("half", "answer"),
    [(HALF_HEAD, "HTTP/1.1 408 "), (HALF_BODY, "HTTP/1.1 408 "), ("", ""), (CHUNKED, "")],
)
def test_who_sends_too_slowly_is_sent_away(tmp_path: Path, half: str, answer: str) -> None:
    with (
        serving(tmp_path, HEAD_S=0.5, BODY_S=0.5) as web,
        web.say(half) as slow,
        contextlib.suppress(ConnectionResetError),
    ):
        assert hear(slow)[:13] == answer or half == CHUNKED


def test_who_reads_too_slowly_is_sent_away(tmp_path: Path) -> None:
    with serving(tmp_path, STALL_S=0.1, MIN_RATE=1 << 30) as web, contextlib.ExitStack() as crowd:
        readers = [
            crowd.enter_context(web.say("GET /long HTTP/1.1\r\nHost: x\r\n\r\n", 2048))
            for _ in range(20)
        ]
        assert web.get("/quick").endswith("/quick 0")
        for reader in readers:
            came = 0
            with contextlib.suppress(ConnectionResetError):
                while data := reader.recv(65_536):
                    came += len(data)
            assert came < 64 << 20


def test_a_long_answer_comes_whole(web: Web) -> None:
    said = web.get("/long")
    assert len(said.partition("\r\n\r\n")[2]) == 64 << 20


def test_requests_of_every_form_are_understood(web: Web) -> None:
    """As gunicorn's own worker does, whatever the pieces are in which they come."""
    body = "x" * 300_000
    with web.connect() as made:
        made.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        made.sendall(b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab")
        made.sendall(b"cPOST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
        made.sendall(body.encode())
        made.sendall(CHUNKED.replace("/quick", "/e").encode() + b"lo\r\n0\r\n\r\n")
        made.sendall(b"GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = hear(made)
    answers = re.findall(r"\r\n\r\n(/\w \d+)", said)
    assert answers == ["/a 0", "/b 0", "/c 3", "/d 300000", "/e 5", "/f 0"]


@pytest.mark.parametrize(
    "body",
    [
        f"Content-Length: 300000\r\n\r\n{'x' * 300_000}",
        f"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{'5' * 5}\r\n",
    ],
    ids=["long", "in pieces"],
)
def test_an_answer_that_leaves_a_body_unread_says_that_the_connection_ends(
    web: Web, body: str
) -> None:
    told = web.ask(f"POST /refused HTTP/1.1\r\nHost: x\r\n{body}")
    assert told.startswith("HTTP/1.1 413 ")
    assert "\r\nConnection: close\r\n" in told
    for path in ("quick", "refused"):
        with web.say(f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab") as made:
            assert b"Connection: close" not in made.recv(65_536)


@pytest.mark.parametrize(
    "body",
    [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ],
    ids=["whole", "in pieces"],
)
def test_an_application_may_put_another_body_in_the_place_of_the_one_that_came(
    web: Web, body: str
) -> None:
    told = web.ask(f"POST /replaced HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}")
    assert told.endswith("/replaced 5")


def test_a_body_that_waits_to_be_asked_for_is_asked_for(web: Web) -> None:
    head = "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    with web.say(head) as made:
        assert made.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        made.sendall(b"abc")
        assert hear(made).endswith("/c 3")


def test_a_head_without_end_is_refused(web: Web) -> None:
    with web.connect() as made, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        made.sendall(b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 50_000)
        assert re.match(r"HTTP/1\.1 4\d\d ", hear(made))
    assert web.get("/quick").endswith("/quick 0")
