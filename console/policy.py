"""Says what a page of ours may load and run (Content Security Policy, level 3): nothing that comes from elsewhere, and no
script that stands in the page itself, whoever wrote it there."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

_COMMON = (
    "default-src 'none'; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
)
# Unfold's pages are moved by Alpine, whose attributes are words of JavaScript that it compiles; Django's escaping
# keeps what others wrote out of them. Styles stand in attributes: how long a bar is.
PAGE = f"{_COMMON}; script-src 'self' 'unsafe-eval'"
DOCUMENT = f"{_COMMON}; script-src 'self'"  # /api-docs
NOTHING = "default-src 'none'; frame-ancestors 'none'"  # of what is no page
_WITH_ALPINE = ("/admin/", "/invitations/")


def restrict_pages(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware. An answer that has a policy of its own keeps it."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        page = PAGE if request.path.startswith(_WITH_ALPINE) else DOCUMENT
        is_page = response.get("Content-Type", "").startswith("text/html")
        response.headers.setdefault("Content-Security-Policy", page if is_page else NOTHING)
        return response

    return answer
