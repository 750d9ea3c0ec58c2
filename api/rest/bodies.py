"""Reading a body: JSON as RFC 8259 has it, of a bounded size and depth."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

from django.http import HttpRequest
from ninja.parser import Parser

from api.rest.answers import Refused

V = TypeVar("V", bound=Callable[..., Any])
_BYTES_MAX = "body_bytes_max"


class StrictParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        """Raises Refused."""
        return parse_json(request.body, parse_constant=_refuse_constant)


def parse_json(body: bytes, **more: Any) -> Any:
    """Without `parse_constant`, NaN and infinity are let through, for who names their places. Raises Refused."""
    try:
        return json.loads(body.decode("utf-8"), **more)
    except (ValueError, RecursionError) as exc:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {_why(exc)}.") from None


class _NoNumber(ValueError):
    """A word of Python's that JSON does not have."""


def _why(exc: ValueError | RecursionError) -> str:
    match exc:
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return f"its byte {exc.start:,} is not UTF-8"
        case json.JSONDecodeError():
            return f"look at line {exc.lineno:,}, column {exc.colno:,}"
        case _NoNumber():
            return str(exc)
        case _:
            return "a number has too many digits"


def takes_up_to(most_bytes: int) -> Callable[[V], V]:
    """Marks a view that takes larger bodies than others, and reads them by `read_large_body`."""

    def mark(view: V) -> V:
        setattr(view, _BYTES_MAX, most_bytes)
        return view

    return mark


def reads_own_body(view: Callable[..., Any]) -> bool:
    """Whether the view is one of those."""
    return hasattr(view, _BYTES_MAX)


def read_body_for(view: Callable[..., Any], request: HttpRequest) -> bytes:
    """Reads the body as the view takes it. Raises Refused, RequestDataTooBig."""
    most_bytes = getattr(view, _BYTES_MAX, None)
    return request.body if most_bytes is None else read_large_body(request, most_bytes)


def read_large_body(request: HttpRequest, most_bytes: int) -> bytes:
    """Past Django's own bound, which holds for all other views. Raises Refused."""
    if not hasattr(request, "_body"):
        body = request.read(most_bytes + 1)
        if len(body) > most_bytes:
            words = f"The body is larger than {most_bytes >> 20} MiB, the most that is taken."
            raise Refused(HTTPStatus.BAD_REQUEST, words)
        request._body = body
    return request.body


def _refuse_constant(name: str) -> NoReturn:
    raise _NoNumber(f"{name} is no number there")
