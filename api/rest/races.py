"""A request that loses a race is answered as if it had come later: for a name with 409 and the field's error. Where others
are in its way for longer, it may be asked again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest

from api.rest.answers import Refused
from workspaces.races import (
    BUSY,
    BUSY_FOR_S,
    STILL_TAKEN,
    is_busy,
    is_taken,
    work_again_after_races,
)

_READS = ("GET", "HEAD", "OPTIONS")


def answer_lost_races(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps every operation."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method in _READS:
            return view(request, *args, **kwargs)
        try:
            return work_again_after_races(lambda: view(request, *args, **kwargs))
        except DatabaseError as exc:
            if is_taken(exc):
                raise Refused(HTTPStatus.CONFLICT, STILL_TAKEN) from None
            if is_busy(exc):
                status = HTTPStatus.SERVICE_UNAVAILABLE
                raise Refused(status, BUSY, retry_after_s=BUSY_FOR_S) from None
            raise

    return answer
