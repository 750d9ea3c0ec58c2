"""How the launcher learns that a program is ready, each asked several times a second."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable

from embedded.child import Child


def answers(host: str, port: int, path: str) -> Callable[[Child], bool]:
    asked_at = 0.0

    def is_ready(child: Child) -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at < 0.3:
            return False  # a health check costs queries
        asked_at = time.monotonic()
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return is_ready


def greets(port: int, greeting: bytes) -> Callable[[Child], bool]:
    def is_ready(child: Child) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                return connection.recv(64).startswith(greeting)
        except OSError:
            return False

    return is_ready


def has_logged(words: str) -> Callable[[Child], bool]:
    # Celery answers `inspect ping` after seconds of imports of its own; its log line comes first.
    def is_ready(child: Child) -> bool:
        return words in child.logged()

    return is_ready
