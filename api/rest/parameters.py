"""Refuses a query parameter that a route does not have: passed over, a filter with a slip in its name would show all
that there is. A number that is written as no program writes it. And a body, where the route takes none."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja.operation import Operation

from api.rest.answers import Refused
from api.rest.bodies import reads_own_body

_BODIES = ("body", "form", "file")
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_READS = ("GET", "HEAD", "OPTIONS")
# Pydantic also takes what Python does: 1_0, +5, 5.0, and blanks around.
_WRITTEN: dict[type, re.Pattern[str]] = {
    int: re.compile(r"[0-9]+", re.ASCII),
    float: re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII),
}
_WORDS: dict[type, str] = {
    int: "Give a whole number in plain digits, such as 20.",
    float: "Give a number in plain digits, such as 20 or 1.5.",
}


def refuse_unknown(run: Callable[..., Any]) -> Callable[..., Any]:
    """Holds an operation to the parameters that the document tells of it. Ninja gives a decorator of mode `view` the bound
    method of the operation. What is refused is refused inside, to those alone who were let in."""
    operation: Operation = run.__self__  # type: ignore[attr-defined]  # it is bound
    takes_body = reads_own_body(operation.view_func) or any(
        each.__ninja_param_source__ in _BODIES for each in operation.models
    )
    operation.view_func = _hold(
        operation.view_func, names_of(operation), _numbers_of(operation), takes_body=takes_body
    )
    return run


def names_of(operation: Operation) -> list[str]:
    """The query parameters that the operation has."""
    queries = [each for each in operation.models if each.__ninja_param_source__ == "query"]
    return [name for each in queries for name in getattr(each, "__ninja_flatten_map__", {})]


def _numbers_of(operation: Operation) -> dict[str, type]:
    """The query parameters that are one number, with its type."""
    return {
        name: kind
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name, place in getattr(model, "__ninja_flatten_map__", {}).items()
        if (kind := _find_number(model, place)) is not None
    }


def _find_number(found: Any, place: Sequence[str]) -> type | None:
    for step in place:
        field = getattr(found, "model_fields", {}).get(step)
        if field is None:
            return None
        found = field.annotation
    return next((kind for kind in (found, *typing.get_args(found)) if kind in (int, float)), None)


def _hold(
    view: Callable[..., Any],
    names: Sequence[str],
    numbers: Mapping[str, type],
    *,
    takes_body: bool,
) -> Callable[..., Any]:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        unknown = [name for name in request.GET if name not in names]
        if unknown:
            raise _refusal_of(unknown, names)
        _need_plain(request, numbers)
        if not takes_body and request.method not in _READS:
            _need_no_body(request)
        return view(request, *args, **kwargs)

    return answer


def _need_plain(request: HttpRequest, numbers: Mapping[str, type]) -> None:
    """Raises Refused."""
    errors = {
        name: [_WORDS[kind]]
        for name, kind in numbers.items()
        if not all(_WRITTEN[kind].fullmatch(text) for text in request.GET.getlist(name))
    }
    if errors:
        words = f"The request does not fit: {', '.join(errors)}."
        raise Refused(HTTPStatus.BAD_REQUEST, words, errors=errors)


def _need_no_body(request: HttpRequest) -> None:
    """An empty object says nothing, and many programs send one; nor does a form, which may hold what a browser adds. Raises
    Refused."""
    if request.content_type in _FORMS:
        return
    if request.body.strip() not in (b"", b"{}", b"null"):
        raise Refused(HTTPStatus.BAD_REQUEST, "This path takes no body: leave it out.")


def _refusal_of(unknown: Sequence[str], names: Sequence[str]) -> Refused:
    shown = [name[:60].replace("\0", "\ufffd") for name in unknown[:10]]
    return Refused(
        HTTPStatus.BAD_REQUEST,
        f"This path has no query parameter {', '.join(shown)}: leave it out.",
        errors={name: [_guess(name, names)] for name in shown},
    )


def _guess(name: str, names: Sequence[str]) -> str:
    if near := difflib.get_close_matches(name, names, n=1):
        return f"There is no such query parameter; did you mean {near[0]}?"
    known = f"there are {', '.join(names)}" if names else "this path has none"
    return f"There is no such query parameter; {known}."
