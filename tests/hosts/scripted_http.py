"""An HTTP host on loopback that says exactly the bytes a test wants, and remembers what it was asked.

It runs in threads of the test's own process, so that a test sees the requests.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from farends.http.transport import HttpOptions, HttpSecret, HttpsOptions
from farends.spec import Target


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    fields: dict[str, str]
    body: bytes = b""


class Conversation:
    """One connection, as the script sees it."""

    def __init__(self, connected: socket.socket, stopped: threading.Event) -> None:
        self._socket = connected
        self._stopped = stopped

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def tries_to_say(self, data: bytes, patience_s: float) -> bool:
        """Whether the other side took it in; where not, a part of it may have gone."""
        self._socket.settimeout(patience_s)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            return False
        finally:
            self._socket.settimeout(None)
        return True

    def answer(self, body: bytes = b"", *fields: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        self.say("\r\n".join(lines).encode() + body)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def wait(self, seconds: float) -> bool:
        """Until the test is over, or that long. Returns whether to go on."""
        return not self._stopped.wait(seconds)


Script = Callable[[Request, Conversation], None]


@dataclass
class ScriptedHttp:
    port: int
    requests: list[Request] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def join(self) -> None:
        """Waits for the end of every conversation that the other side has left."""
        for thread in self.threads:
            thread.join(10)

    def target(
        self, root: str = "/", *, secret: HttpSecret | None = None, **options: object
    ) -> Target:
        made = HttpOptions(root=root, **options)  # type: ignore[arg-type]
        return Target("127.0.0.1", self.port, made, secret or HttpSecret())

    def tls_target(self, authority: str, host: str = "127.0.0.1") -> Target:
        options = HttpsOptions(ca_certificate=authority)
        return Target(host, self.port, options, HttpSecret())


@contextlib.contextmanager
def scripted_http(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedHttp]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    stopped = threading.Event()
    host = ScriptedHttp(listener.getsockname()[1])
    open_sockets: list[socket.socket] = []
    threads = host.threads

    def converse(connected: socket.socket) -> None:
        with connected, contextlib.suppress(OSError):
            if tls is not None:
                connected = tls.wrap_socket(connected, server_side=True)
            with connected:
                for request in _requests(connected):
                    host.requests.append(request)
                    script(request, Conversation(connected, stopped))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = listener.accept()
                open_sockets.append(connected)
                threads.append(threading.Thread(target=converse, args=(connected,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield host
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for connected in open_sockets:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def _requests(connected: socket.socket) -> Iterator[Request]:
    reader = connected.makefile("rb")
    with reader:
        while first := reader.readline():
            if not re.fullmatch(rb"[^ ]+ [^ ]+ HTTP/1\.[01]\r?\n", first):
                continue  # no HTTP, such as TLS: a host that waits for more
            method, target, _ = first.decode("latin-1").split(" ")
            fields = {}
            while (line := reader.readline().decode("latin-1").rstrip("\r\n")) != "":
                name, value = line.split(": ", 1)
                fields[name.lower()] = value
            yield Request(method, target, fields, _body(reader, fields))


def _body(reader: BinaryIO, fields: dict[str, str]) -> bytes:
    if fields.get("transfer-encoding") != "chunked":
        return reader.read(int(fields.get("content-length", 0)))
    body = b""
    while line := reader.readline():
        if not (size := int(line, 16)):
            reader.readline()
            return body
        body += reader.read(size)
        reader.readline()
    raise ConnectionError("the request was cut")
