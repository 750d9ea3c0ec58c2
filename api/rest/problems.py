"""What Django itself refuses (no such path, no such method, a bad host) is a problem too, but to the console's
people."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponseBase
from django.urls import is_valid_path

from api.rest.answers import Refused, problem
from database.away import WORDS

_KEPT = ("Allow", "Retry-After")
_PAGES = ("/admin/", "/invitations/")
_WORDS = {
    HTTPStatus.NOT_FOUND: "There is no such path: /api-docs lists them.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take this method.",
    HTTPStatus.SERVICE_UNAVAILABLE: WORDS,
}


def tell_problems(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        plain = response.get("Content-Type", "").startswith("text/html")
        if request.path.startswith(_PAGES) or response.status_code < 400 or not plain:
            return response
        status = HTTPStatus(response.status_code)
        words = _WORDS.get(status, f"{status.phrase}.")
        bare = request.path.rstrip("/")
        if status is HTTPStatus.NOT_FOUND and bare != request.path and is_valid_path(bare):
            words = f"There is no such path: leave out the slash at the end of {request.path}"
        told = problem(Refused(status, words))
        for header in _KEPT:
            if header in response:
                told[header] = response[header]
        return told

    return answer
