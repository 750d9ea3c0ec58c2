"""What a refusal looks like (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import JsonResponse

from api.shapes.answers import PROBLEM_TYPE, Problem, Told
from syncjobs.configuration.findings import InvalidConfiguration

Responses = dict[int | frozenset[int], type[Told] | None]  # a shape for each status
REFUSALS: Responses = {frozenset({400, 401, 403, 404}): Problem}
CONFLICTS: Responses = {frozenset({400, 401, 403, 404, 409}): Problem}
# Of routes that take the number of a version, which may have been one.
GONE: Responses = {410: Problem}
Errors = Mapping[str, list[str]]


class Refused(Exception):
    """The request is refused with this status; the message says what to do. `more` are further members of
    the answer (RFC 9457 §3.2)."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Errors | None = None,
        more: Mapping[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.errors = errors or {}
        self.more = more or {}
        self.retry_after_s = retry_after_s


def not_found(noun: str) -> Refused:
    """The same words for what is another workspace's and what does not exist."""
    return Refused(HTTPStatus.NOT_FOUND, f"There is no such {noun}.")


def refusal_of(exc: InvalidConfiguration, aliases: Mapping[str, str] | None = None) -> Refused:
    """Makes the refusal: by field, what is wrong with it; also under the name by which the field was given."""
    errors = exc.by_field()
    for field, words in list(errors.items()):
        if alias := (aliases or {}).get(field.partition(".")[0]):
            errors[alias] = words
    conflicts = all(problem.conflicts for problem in exc.problems)
    status = HTTPStatus.CONFLICT if conflicts else HTTPStatus.BAD_REQUEST
    return Refused(status, f"{exc}.", errors=errors)


def problem(refused: Refused) -> JsonResponse:
    status = refused.status
    response = JsonResponse(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": str(refused),
            "errors": dict(refused.errors),
            **refused.more,
        },
        status=status.value,
        content_type=PROBLEM_TYPE,
    )
    if status is HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if refused.retry_after_s is not None:
        response["Retry-After"] = str(refused.retry_after_s)
    return response
