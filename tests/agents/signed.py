"""The product's application for a client that can set no header: each request comes with SYNC_TOKEN."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from syncproject.wsgi import application as product


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    environ.setdefault("HTTP_AUTHORIZATION", f"Bearer {os.environ['SYNC_TOKEN']}")
    answer: Iterable[bytes] = product(environ, start)
    return answer
