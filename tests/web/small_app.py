"""What a test has gunicorn serve: short and long answers, one that waits, and how long a body was.

Also gunicorn's configuration: the worker's limits, small enough for a test to meet them.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from syncproject import serving

wsgi_app = "tests.web.small_app:application"
bind = "127.0.0.1:0"
worker_class = "syncproject.serving.WebWorker"
threads = 2
workers = 1
keepalive = 30
graceful_timeout = 2
control_socket_disable = True

for _name, _value in json.loads(os.environ.get("SMALL_APP_LIMITS", "{}")).items():
    setattr(serving, _name, _value)

_let_go = threading.Event()
_agent_may_go = threading.Semaphore(0)
_agents: list[None] = []
_most_agents: list[int] = [0]


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/hold":
        _let_go.wait()
        _let_go.clear()
    if path == "/mcp":
        _agents.append(None)
        _most_agents.append(len(_agents))
        _agent_may_go.acquire()
        _agents.pop()
    if path == "/let-agent-go":
        _agent_may_go.release()
    if path == "/let-go":
        _let_go.set()
    if path == "/long":
        start("200 OK", [("Content-Length", str(64 << 20))])
        return (b"x" * 65_536 for _ in range(1024))
    if path == "/replaced":  # as an application around the product may do
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read()[::-1])
    if path == "/refused":
        start("413 Content Too Large", [("Content-Length", "0")])
        return []
    body = environ["wsgi.input"].read() if environ["REQUEST_METHOD"] == "POST" else b""
    said = f"{path} {len(body)}".encode()
    if path == "/agents":
        said = f"{len(_agents)} of at most {max(_most_agents)}".encode()
    if path == "/short":
        said = b"x" * 200_000
    start("200 OK", [("Content-Length", str(len(said)))])
    return [said]
