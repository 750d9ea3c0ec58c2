"""Middleware: what a request changes, it changes in the name of who was let in."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from workspaces.acting import Actor, Door, acting


def act_for_caller(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    def answer(request: HttpRequest) -> HttpResponseBase:
        with acting(lambda: _who(request)):
            return get_response(request)

    return answer


def _who(request: HttpRequest) -> Actor:
    let_in = getattr(request, "auth", None)  # by a door of `api.rest.callers`
    if let_in is not None:
        return Actor(str(let_in.name), Door.API)
    return Actor(request.user.get_username() or "nobody", Door.CONSOLE)
