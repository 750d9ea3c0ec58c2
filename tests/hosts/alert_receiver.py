"""A host that receives alerts by HTTP, answers as a test wants, and remembers what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    path: str
    fields: dict[str, str]  # names in lower case
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.body)
        return read

    @property
    def key(self) -> str:
        return self.fields["idempotency-key"]


@dataclass(frozen=True)
class Reply:
    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"


Answerer = Callable[[Received], Reply]


class AlertReceiver:
    """`answer` says what each request gets; it may wait on an event of the test."""

    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.port = 0
        self.arrived = threading.Condition()

    def note(self, received: Received) -> None:
        with self.arrived:
            self.received.append(received)
            self.arrived.notify_all()

    def wait_for(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, 60)

    def url(self, path: str = "/hook") -> str:
        return f"json://127.0.0.1:{self.port}{path}"


@contextmanager
def receiving_alerts(
    answer: Answerer = lambda _: Reply(),
    *,
    place: tuple[str, int] = ("127.0.0.1", 0),
    tls: ssl.SSLContext | None = None,
) -> Iterator[AlertReceiver]:
    receiver = AlertReceiver(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fields = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, fields, body)
            receiver.note(received)
            reply = receiver.answer(received)
            try:
                self.send_response_only(reply.status)
                for name, value in ({"Date": self.date_time_string()} | reply.fields).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                pass  # whoever sent it was killed

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(place, Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
