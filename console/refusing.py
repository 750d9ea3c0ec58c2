"""The pages of a path that is not there, of what a person may not do, and of what we could not do: what is missing, and
what to do about it."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.defaults import page_not_found, permission_denied

from console import tenancy
from database import away
from workspaces import races
from workspaces.models import Member, Role

NAMED_MAX = 5


def tell_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_page(request):
        return page_not_found(request, exception)
    return _render(request, "console/not_found.html", HTTPStatus.NOT_FOUND)


def tell_forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Names the person's role, and who can give another one."""
    if not _is_page(request):
        return permission_denied(request, exception)
    roles = tenancy.find_roles(request)
    chosen = tenancy.find_current_workspace(request) or next(iter(roles), None)
    admins = Member.objects.filter(workspace=chosen, role=Role.ADMIN).order_by("user__username")
    return _render(
        request,
        "console/forbidden.html",
        HTTPStatus.FORBIDDEN,
        role=roles.get(chosen) if chosen else None,
        admins=list(admins.values_list("user__username", flat=True)[:NAMED_MAX]),
    )


def tell_error(request: HttpRequest) -> HttpResponse:
    """Asks the database nothing: it may be what is missing."""
    exc = sys.exc_info()[1]
    is_away, is_busy = away.is_away(exc), exc is not None and races.is_busy(exc)
    after_s = away.RETRY_AFTER_S if is_away else races.BUSY_FOR_S if is_busy else None
    context = {"is_away": is_away, "is_busy": is_busy, "after_s": after_s}
    context["comes_again"] = is_away and request.method == "GET"
    page = render_to_string("console/error.html", context)
    if after_s is None:
        return HttpResponse(page, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"Retry-After": str(after_s)}
    return HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)


def _is_page(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/") and tenancy.may(request, Role.VIEWER)


def _render(request: HttpRequest, template: str, status: HTTPStatus, **more: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": status.phrase, "subtitle": None, **more}
    return render(request, template, context, status=status)
