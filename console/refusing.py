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
    is_away = away.is_away(sys.exc_info()[1])
    status = HTTPStatus.SERVICE_UNAVAILABLE if is_away else HTTPStatus.INTERNAL_SERVER_ERROR
    context = {"is_away": is_away, "comes_again": is_away and request.method == "GET"}
    page = render_to_string("console/error.html", context | {"after_s": away.RETRY_AFTER_S})
    response = HttpResponse(page, status=status)
    if is_away:
        response["Retry-After"] = str(away.RETRY_AFTER_S)
    return response


def _is_page(request: HttpRequest) -> bool:
    return request.path.startswith("/admin/") and tenancy.may(request, Role.VIEWER)


def _render(request: HttpRequest, template: str, status: HTTPStatus, **more: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": status.phrase, "subtitle": None, **more}
    return render(request, template, context, status=status)
