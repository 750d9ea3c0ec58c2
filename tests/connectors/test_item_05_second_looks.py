"""Over HTTP the second look at a file comes before further files, so that each file ends when its bytes have come."""

from __future__ import annotations

import itertools

from farends.contract import Fetched, RemoteEntry
from farends.http.transport import HTTP_SPEC
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sinks import DigestSink, loopback_context

SIZE = 700 * 1024  # each needs a second look, and no two are asked for at once on one connection


def answer(request: Request, conversation: Conversation) -> None:
    body = b"x" * SIZE
    if request.method == "HEAD":
        conversation.say(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
    else:
        conversation.answer(body)


def fetch(host: ScriptedHttp, count: int, sessions: int) -> list[Fetched]:
    wanted = [RemoteEntry(f"{number:02}.bin", SIZE, None) for number in range(count)]
    transport = HTTP_SPEC.open(host.target(sessions=sessions), loopback_context())
    try:
        return list(transport.fetch(wanted, DigestSink()))
    finally:
        transport.close()


def test_item_05_each_file_is_looked_at_before_further_files_are_asked_for() -> None:
    with scripted_http(answer) as host:
        fetched = fetch(host, 40, sessions=1)
        asked = [(request.method, request.target) for request in host.requests]
    assert [one.error for one in fetched] == [None] * 40
    names = [f"/{number:02}.bin" for number in range(40)]
    assert asked == [*itertools.chain(*((("GET", name), ("HEAD", name)) for name in names))]


def test_item_05_with_many_connections_no_look_waits_for_the_queue() -> None:
    with scripted_http(answer) as host:
        fetch(host, 40, sessions=4)
        asked = [(request.method, request.target) for request in host.requests]
    for number in range(40):
        name = f"/{number:02}.bin"
        between = asked[asked.index(("GET", name)) : asked.index(("HEAD", name))]
        assert sum(method == "GET" for method, _ in between) <= 9
