"""Fragments that a page fetches again and again by htmx. The page stays usable when one fails.

A fragment's outermost element has an id and the attributes of `write_attributes`; its view is wrapped in `fragment`. Then
- a hidden page asks nothing, and asks once when it is seen again (`console.js` sends `seen`);
- nothing is sent and nothing swapped where nothing changed: the browser says which content it has, the answer is 204.
  How long ago something was is no change, for the page counts that on by itself;
- `data-live` is the state in words. It is read aloud when it changes, figures are not;
- a session that ended, or a row that is gone, makes htmx load the whole page again, which then says so. Without this a
  poll would swap the log-in form into the middle of it.

What a person types into, opens or unfolds stands outside of a fragment, and what takes the focus inside has an id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import site
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

View = Callable[..., HttpResponse]

EVERY_S = 2
DIGEST = "X-Fragment-Digest"
# Ages, and tokens that differ in each answer.
_PASSING = re.compile(
    rb'(?s) data-age="[^"]*"[^>]*>[^<]*</time>|name="csrfmiddlewaretoken" value="[^"]*"'
)


def write_attributes(url: str, every_s: int, words: str) -> SafeString:
    """No filter stands in the trigger: htmx would need `eval` for it."""
    return format_html(
        'hx-get="{}" hx-trigger="every {}s, seen" hx-swap="outerHTML" data-live="{}"',
        *(url, every_s, words),
    )


def fragment(view: View) -> View:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "GET":
            return HttpResponse(status=405, headers={"Allow": "GET"})
        if not site.has_permission(request):
            return HttpResponse(status=403, headers={"HX-Refresh": "true"})
        try:
            response = _leave_out_unchanged(request, view(request, *args, **kwargs))
        except Http404:
            return HttpResponse(status=404, headers={"HX-Refresh": "true"})
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


def _leave_out_unchanged(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if response.status_code != 200:
        return response
    if isinstance(response, SimpleTemplateResponse):
        response.render()
    digest = hashlib.blake2b(_PASSING.sub(b"", response.content), digest_size=12).hexdigest()
    if request.headers.get(DIGEST) == digest:
        response = HttpResponse(status=204)
    response.headers[DIGEST] = digest
    return response
