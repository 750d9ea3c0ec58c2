"""Who tried too many passwords is told so, and for how long (RELIABILITY X09). django-axes counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from axes.backends import AxesStandaloneBackend
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

NAME_MAX = User._meta.get_field("username").max_length or 0  # characters


class LockoutBackend(AxesStandaloneBackend):  # type: ignore[misc] # axes has no types
    """Asked before the passwords are. A program of ours that authenticates without a request is nobody at a
    log-in page: axes would raise."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is not None:
            super().authenticate(request, **credentials)


def name_of(request: HttpRequest, credentials: Mapping[str, str] | None) -> str:
    """Under which tries count: cut, where no user can have such a name and no column would take it."""
    return (credentials or request.POST).get("username", "")[:NAME_MAX]


def tell_locked_out(
    request: HttpRequest, answer: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """In the place of the log-in page's own `answer`, whether the password was right or not."""
    away: timedelta = settings.AXES_COOLOFF_TIME
    reason = (
        f"{settings.AXES_FAILURE_LIMIT} log-ins as this user have failed from your address. Try again in"
        f" {away.total_seconds() / 60:.0f} minutes at most."
    )
    context = {**admin.site.each_context(request), "reason": reason}
    response = render(
        request, "console/locked_out.html", context, status=HTTPStatus.TOO_MANY_REQUESTS
    )
    response["Retry-After"] = str(int(away.total_seconds()))
    return response
