"""`/api/workspaces/{workspace}/tokens`: what programs log in with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Status
from pydantic import Field

from api.rest.answers import REFUSALS, Refused
from api.rest.callers import ADMIN, caller_of
from api.rest.finding import WorkspaceIn, need_row
from api.rest.pages import LAST_MADE_FIRST, PageQuery
from api.shapes.tokens import TokenMade, TokenNew, TokenOut, TokenPage, tell_token
from workspaces.models import ApiToken
from workspaces.tokens import RoleTooHigh, create_token, revoke_token

router = Router(tags=["tokens"])
TokenIn = Annotated[str, Path(description="The token's id or prefix.")]


class TokenQuery(PageQuery):
    state: Literal["live", "revoked"] | None = Field(None, description="Live ones may be expired.")


@router.get("", response={200: TokenPage, **REFUSALS}, auth=ADMIN)
def list_tokens(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[TokenQuery, Query()]
) -> TokenPage:
    """The newest first."""
    rows = ApiToken.objects.filter(workspace=caller_of(request).workspace)
    if query.state is not None:
        rows = rows.filter(revoked_at__isnull=query.state == "live")
    found, following = LAST_MADE_FIRST.take(rows, query)
    return TokenPage(items=[tell_token(row) for row in found], next=following)


@router.post("", response={201: TokenMade, **REFUSALS}, auth=ADMIN)
def make_token(request: HttpRequest, workspace: WorkspaceIn, body: TokenNew) -> Status[TokenMade]:
    """Makes a token. Only this answer shows it; nobody can see it again."""
    caller = caller_of(request)
    if body.expires_at is not None and body.expires_at <= timezone.now():
        words = "expires_at: give a time to come"
        raise Refused(HTTPStatus.BAD_REQUEST, f"{words}.", errors={"expires_at": [words]})
    try:
        row, token = create_token(
            caller.workspace,
            name=body.name,
            role=body.role,
            expires_at=body.expires_at,
            granted_by=caller.role,
        )
    except RoleTooHigh as exc:
        raise Refused(HTTPStatus.FORBIDDEN, f"{exc}.") from None
    return Status(201, TokenMade(**dict(tell_token(row)), token=token))


@router.get("/{token}", response={200: TokenOut, **REFUSALS}, auth=ADMIN)
def read_token(request: HttpRequest, workspace: WorkspaceIn, token: TokenIn) -> TokenOut:
    return tell_token(_get(request, token))


@router.delete("/{token}", response={204: None, **REFUSALS}, auth=ADMIN)
def remove_token(request: HttpRequest, workspace: WorkspaceIn, token: TokenIn) -> Status[None]:
    """Revokes it: programs that use it stop working at once. Its row stays, to be looked at."""
    revoke_token(_get(request, token))
    return Status(204, None)


def _get(request: HttpRequest, text: str) -> ApiToken:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_row(ApiToken.objects.all(), owner, text, "token", by="prefix")
