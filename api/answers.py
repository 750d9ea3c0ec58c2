"""What a refusal looks like (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import JsonResponse
from ninja import Schema
from pydantic import BaseModel, Field

PROBLEM_TYPE = "application/problem+json"
Errors = Mapping[str, list[str]]


class Told(BaseModel):
    """A shape that is told, not taken, from plain values. ninja's own Schema looks each field up as an attribute of
    a model may be, which takes longer than all else in a list of fifty."""


class Problem(Schema):
    """Why a request was refused."""

    type: str = Field("about:blank", description="A URI that names the kind of problem.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, and what to do.")
    errors: dict[str, list[str]] = Field(
        default_factory=dict, description="By field, what is wrong with it; nested ones with dots."
    )


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
