"""A door on loopback for libpq, which dials itself and takes no socket of ours: what it says goes on to a socket
that our dialer has connected, such as through a proxy."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

_PIECE_BYTES = 256 * 1024
_ACCEPT_S = 10.0


class Relay:
    """Takes one connection, from the local port that `start` is told, and no other. Close it."""

    def __init__(self, far: socket.socket) -> None:
        self._far = far
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(_ACCEPT_S)
        self._near: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def start(self, from_port: int) -> None:
        self._thread = threading.Thread(
            target=self._serve, args=[from_port], name="sql-relay", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        for one in (self._listening, self._far, self._near):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                if self._thread is None:
                    one.close()
        if self._thread is not None:
            self._thread.join(_ACCEPT_S)

    def _serve(self, from_port: int) -> None:
        with self._far, self._listening, contextlib.suppress(OSError):
            self._near = self._accept(from_port)
            self._listening.close()
            with self._near:
                self._far.settimeout(None)
                _pump(self._near, self._far)

    def _accept(self, from_port: int) -> socket.socket:
        while True:
            made, peer = self._listening.accept()
            if peer[1] == from_port:
                made.settimeout(None)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return made
            made.close()


def _pump(near: socket.socket, far: socket.socket) -> None:
    """Both ways, until one of them ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(near, selectors.EVENT_READ, (near, far))
        selector.register(far, selectors.EVENT_READ, (far, near))
        while True:
            for key, _ in selector.select():
                source, sink = key.data
                data = source.recv(_PIECE_BYTES)
                if not data:
                    return
                sink.sendall(data)
