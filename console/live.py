"""Fragments that a page fetches again and again by htmx. The page stays usable when one fails.

A session that ended, or a row that is gone, makes htmx reload the whole page, which then says so;
without this a poll would swap the log-in form into the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import site
from django.http import Http404, HttpRequest, HttpResponse

View = Callable[..., HttpResponse]

EVERY_S = 2


def fragment(view: View) -> View:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "GET":
            return HttpResponse(status=405, headers={"Allow": "GET"})
        if not site.has_permission(request):
            return HttpResponse(status=403, headers={"HX-Refresh": "true"})
        try:
            response = view(request, *args, **kwargs)
        except Http404:
            return HttpResponse(status=404, headers={"HX-Refresh": "true"})
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer
