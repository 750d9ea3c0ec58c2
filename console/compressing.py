"""Sends the console's pages compressed: text that repeats itself, mostly over slow lines.

Only whole HTML pages. What streams (events, downloads, archives) is left as it is: compression would hold it back. The
answers of REST are left too. Compression with secrets tells their length to who can add to a page and measure it
(BREACH): the tokens in our forms are masked anew in each answer, no page repeats another secret, and each answer gets
a length of its own by random bytes in its header, as Django does.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.text import compress_string

FROM_BYTES = 1_000
_RANDOM_BYTES = 100


def compress_pages(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, HttpResponse) or not _is_page(response):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return response
        response.content = compress_string(response.content, max_random_bytes=_RANDOM_BYTES)
        response.headers["Content-Length"] = str(len(response.content))
        response.headers["Content-Encoding"] = "gzip"
        return response

    return answer


def _is_page(response: HttpResponse) -> bool:
    return (
        response.headers.get("Content-Type", "").startswith("text/html")
        and not response.has_header("Content-Encoding")
        and len(response.content) >= FROM_BYTES
    )
