"""Tells people who tried too many passwords how long they are locked out (docs/promises.md, X09). django-axes
counts the tries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.exceptions import AxesBackendPermissionDenied
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from workspaces.addresses import find_client

ADDRESS_FAILURES_MAX = 50  # of one address, whoever the users are
NAME_MAX = User._meta.get_field("username").max_length or 0  # characters


class LockoutBackend(AxesStandaloneBackend):  # type: ignore[misc] # axes has no types
    """Asked before the passwords are. A program of ours that authenticates without a request is nobody at a
    log-in page: axes would raise."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is None:
            return
        client = _client_of(request)
        if client and _count_failures(client) >= ADDRESS_FAILURES_MAX:
            request.axes_locked_out = True  # type: ignore[attr-defined]  # then axes counts no more of it
            request.axes_credentials = credentials  # type: ignore[attr-defined]
            request.locked_out_address = True  # type: ignore[attr-defined]
            raise AxesBackendPermissionDenied
        super().authenticate(request, **credentials)


def find_client_address(request: HttpRequest) -> str | None:
    """Returns the address under which failures count, beside the user's name."""
    return _client_of(request) or request.META.get("REMOTE_ADDR")


def _client_of(request: HttpRequest) -> str | None:
    peer = request.META.get("REMOTE_ADDR", "")
    return find_client(peer, request.headers, settings.TRUSTED_PROXIES)


def _count_failures(address: str) -> int:
    recent = AccessAttempt.objects.filter(
        ip_address=address, attempt_time__gte=timezone.now() - settings.AXES_COOLOFF_TIME
    )
    return recent.aggregate(count=Sum("failures_since_start"))["count"] or 0


def read_username(request: HttpRequest, credentials: Mapping[str, str] | None) -> str:
    """Returns the user name under which tries count: cut, where no user can have such a name and no column would take it."""
    return (credentials or request.POST).get("username", "")[:NAME_MAX]


def tell_locked_out(
    request: HttpRequest, answer: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """Answers in place of the log-in page, whether the password was right or not."""
    away: timedelta = settings.AXES_COOLOFF_TIME
    by_address = getattr(request, "locked_out_address", False)
    failed = (
        f"{ADDRESS_FAILURES_MAX} log-ins have"
        if by_address
        else f"{settings.AXES_FAILURE_LIMIT} log-ins as this user have"
    )
    minutes = away.total_seconds() / 60
    reason = f"{failed} failed from your address. Try again in {minutes:.0f} minutes at most."
    context = {**admin.site.each_context(request), "reason": reason}
    response = render(
        request, "console/locked_out.html", context, status=HTTPStatus.TOO_MANY_REQUESTS
    )
    response["Retry-After"] = str(int(away.total_seconds()))
    return response
