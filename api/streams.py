"""Answers that stay open: server-sent events (WHATWG HTML §9.2), with a bound on how many.

Each holds a thread of the web process for as long as it is open, so some threads must be left for everybody
else; see `embedded.programs.web`.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import StreamingHttpResponse

from api.answers import Refused

EVENT_STREAM = "text/event-stream"
KEEP_ALIVE = b": still here\n\n"


class Places:
    """How many streams are open in this process, and whose."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def take(self, holder: str, *, most: int, most_each: int) -> None:
        """Raises Refused. Whoever takes a place gives it back."""
        with self._lock:
            if self._open[holder] >= most_each:
                raise Refused(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"You have {most_each} streams open here: close one, or ask without one.",
                )
            if self._open.total() >= most:
                raise Refused(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "No further stream can be opened now: try again, or ask without one.",
                )
            self._open[holder] += 1

    def give_back(self, holder: str) -> None:
        with self._lock:
            self._open[holder] -= 1
            if not self._open[holder]:
                del self._open[holder]

    @property
    def count(self) -> int:
        return self._open.total()


places = Places()


class _Stream:
    """Pieces of an answer, and a place that is free again when they are no longer wanted: at the end, when the
    client has gone, and where nobody ever asked for the first."""

    def __init__(self, pieces: Iterator[bytes], holder: str) -> None:
        self._pieces = pieces
        self.close = weakref.finalize(self, places.give_back, holder)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)


def stream(pieces: Iterator[bytes], holder: str) -> StreamingHttpResponse:
    """`holder` has taken a place."""
    response = StreamingHttpResponse(_Stream(pieces, holder), content_type=EVENT_STREAM)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would collect the pieces
    return response


def message(kind: str, data: Any, *, number: int | None = None) -> bytes:
    """One event. JSON has no line end of its own, so `data` is one line."""
    told = json.dumps(data, cls=DjangoJSONEncoder)
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {told}\n\n".encode()
