"""What Django itself refuses below /api/ (no such path, no such method, a bad host) is a problem too."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponseBase

from api.answers import Refused, problem

_WORDS = {
    HTTPStatus.NOT_FOUND: "There is no such path: /api-docs lists them.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take this method.",
}


def tell_problems(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        plain = response.get("Content-Type", "").startswith("text/html")
        if not request.path.startswith("/api/") or response.status_code < 400 or not plain:
            return response
        status = HTTPStatus(response.status_code)
        told = problem(Refused(status, _WORDS.get(status, f"{status.phrase}.")))
        if "Allow" in response:
            told["Allow"] = response["Allow"]
        return told

    return answer
