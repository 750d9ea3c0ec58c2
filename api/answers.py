"""Who asks, and what a refusal looks like (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpRequest, JsonResponse

from workspaces.models import ApiToken, Role
from workspaces.tokens import find_token

_RANK = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]


class Refused(Exception):
    """The request is refused with this status; the message says what to do."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def need_token(request: HttpRequest, role: Role) -> ApiToken:
    """The token of the request, which may do what `role` may. Raises Refused."""
    kind, _, word = request.headers.get("Authorization", "").partition(" ")
    token = find_token(word.strip()) if kind.lower() == "bearer" else None
    if token is None:
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "Give a live token: Authorization: Bearer TOKEN (create_token).",
        )
    if _RANK.index(Role(token.role)) < _RANK.index(role):
        raise Refused(
            HTTPStatus.FORBIDDEN, f"This token's role is {token.role}; this needs {role.value}."
        )
    return token


def problem(refused: Refused) -> JsonResponse:
    status = refused.status
    response = JsonResponse(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": str(refused),
        },
        status=status.value,
        content_type="application/problem+json",
    )
    if status is HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response
