"""A request that loses a race for a name is answered as if it had come later: with 409 and the field's error."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.db import IntegrityError
from django.http import HttpRequest

from api.rest.answers import Refused
from workspaces.races import is_taken, work_again_where_taken

_STILL_TAKEN = "Others keep making and removing the same thing: ask again."
_READS = ("GET", "HEAD", "OPTIONS")


def answer_lost_races(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps every operation: a lost race is answered as if the request had come later."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.method in _READS:
            return view(request, *args, **kwargs)
        try:
            return work_again_where_taken(lambda: view(request, *args, **kwargs))
        except IntegrityError as exc:
            if not is_taken(exc):
                raise
            raise Refused(HTTPStatus.CONFLICT, _STILL_TAKEN) from None

    return answer
