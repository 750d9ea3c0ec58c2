"""Answers that stay open: server-sent events (WHATWG HTML §9.2), with a bound on how many.

Each holds a thread of the web process for as long as it is open, so some threads must be left for everybody
else; see `embedded.programs.web`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import StreamingHttpResponse

from api.rest.answers import Refused
from workspaces.places import NoPlace, Pieces, streams

EVENT_STREAM = "text/event-stream"
KEEP_ALIVE = b": still here\n\n"
RETRY_S = 10


def take_place(workspace_id: UUID, caller: str) -> tuple[str, ...]:
    """Takes a place for a caller. Raises Refused."""
    of = settings.SYNC
    names = {
        f"{workspace_id} {caller}": of.sse_max_streams_per_token,
        str(workspace_id): of.sse_max_streams_per_workspace,
    }
    try:
        streams.take(of.sse_max_streams, names)
    except NoPlace as full:
        status, words = (
            HTTPStatus.SERVICE_UNAVAILABLE,
            "No further stream can be opened now: try again",
        )
        if full.ours:
            status = HTTPStatus.TOO_MANY_REQUESTS
            words = f"You, or your workspace, have {full.most} streams open here: close one"
        words += ", or ask without one."
        raise Refused(status, words, retry_after_s=RETRY_S) from None
    return tuple(names)


def stream(pieces: Iterator[bytes], holders: tuple[str, ...]) -> StreamingHttpResponse:
    """`holders` have taken a place."""
    kept = Pieces(pieces, streams, holders)
    response = StreamingHttpResponse(kept, content_type=EVENT_STREAM)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would collect the pieces
    return response


def message(kind: str, data: Any, *, number: int | None = None) -> bytes:
    """One event. JSON has no line end of its own, so `data` is one line."""
    told = json.dumps(data, cls=DjangoJSONEncoder)
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {told}\n\n".encode()
