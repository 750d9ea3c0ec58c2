"""A token that was just made is shown, with a button that copies it, until its maker puts it away or a quarter of an hour
is over. Until then it lies sealed in the maker's session: no message, log or page of others ever has it."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse

from connectors.secrets import seal_for, unseal_for
from farends.errors import AuthConfig

SHOWN_S = 900
_KEY = "fresh_token"


def keep_fresh_token(request: HttpRequest, name: str, token: str) -> None:
    """One at a time: the newest."""
    sealed = seal_for(_place(request), {"token": token})
    request.session[_KEY] = {"name": name, "sealed": sealed, "until": time.time() + SHOWN_S}


def find_fresh_token(request: HttpRequest) -> dict[str, str] | None:
    """Its `name` and `token`, for the page; None where none is to be shown."""
    session = getattr(request, "session", None)
    kept = session.get(_KEY) if session is not None else None
    if kept is None or session is None:
        return None
    if time.time() > kept["until"]:
        del session[_KEY]
        return None
    try:
        return {"name": kept["name"], **unseal_for(_place(request), kept["sealed"])}
    except AuthConfig:  # the keys have changed meanwhile
        del session[_KEY]
        return None


def put_away_view(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    request.session.pop(_KEY, None)
    return HttpResponseRedirect(reverse("admin:workspaces_apitoken_changelist"))


def _place(request: HttpRequest) -> str:
    """What the sealed token is bound to."""
    return f"token shown to person {request.user.pk}"
