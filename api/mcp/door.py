"""Middleware: `/mcp` needs no session, no cookie and no message to a person, so it is answered before they are looked for."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from api.mcp.serving import answer

PATH = "/mcp"


def let_agents_in(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    def respond(request: HttpRequest) -> HttpResponseBase:
        return answer(request) if request.path_info == PATH else get_response(request)

    return respond
