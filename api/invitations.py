"""`/api/workspaces/{workspace}/invitations`: who is asked to become a member. They accept in the console."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.urls import reverse
from ninja import Path, Query, Router, Schema, Status
from pydantic import ConfigDict, Field, StrictStr

from api.answers import Refused
from api.callers import ADMIN, caller_of
from api.finding import need_id
from api.jobs import CONFLICTS, REFUSALS, WorkspaceIn
from api.pages import LAST_MADE_FIRST, PageQuery
from workspaces.invitations import AlreadyInvited, AlreadyMember, invite, state_of, withdraw
from workspaces.models import Invitation, Role

router = Router(tags=["members"])
InvitationIn = Annotated[str, Path(description="The invitation's id.")]
Name = Annotated[StrictStr, Field(min_length=1, max_length=254, pattern=r"^[\w.@+-]+$")]


class InvitationNew(Schema):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(
        description="A user name exactly as the person logs in, or an e-mail address. Nobody is told whether"
        " somebody has it."
    )
    role: Role = Role.VIEWER


class InvitationOut(Schema):
    """To the workspace, for who has the name and the link. The link itself is not kept."""

    id: uuid.UUID
    name: str
    role: Role
    state: Literal["open", "accepted", "withdrawn", "expired"]
    invited_by: str
    created_at: datetime
    expires_at: datetime


class InvitationMade(InvitationOut):
    path: str = Field(description="Of the link, below this server's address. Shown this once.")


class InvitationPage(Schema):
    items: list[InvitationOut]
    next: str | None


@router.get("", response={200: InvitationPage, **REFUSALS}, auth=ADMIN)
def list_invitations(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[PageQuery, Query()]
) -> dict[str, Any]:
    """The newest first."""
    rows = Invitation.objects.filter(workspace=caller_of(request).workspace)
    found, following = LAST_MADE_FIRST.take(rows, query)
    return {"items": [_tell(row) for row in found], "next": following}


@router.post("", response={201: InvitationMade, **CONFLICTS}, auth=ADMIN)
def invite_person(
    request: HttpRequest, workspace: WorkspaceIn, body: InvitationNew
) -> Status[dict[str, Any]]:
    """The answer is the same whether or not somebody has the name. Give them the link: who opens it within a
    week, logged in under this name, becomes a member by their own consent."""
    try:
        row, token = invite(caller_of(request).workspace, body.name, body.role)
    except (AlreadyInvited, AlreadyMember) as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.", errors={"name": [str(exc)]}) from None
    return Status(201, _tell(row) | {"path": reverse("invitation", args=[token])})


@router.delete("/{invitation}", response={204: None, **REFUSALS}, auth=ADMIN)
def withdraw_invitation(
    request: HttpRequest, workspace: WorkspaceIn, invitation: InvitationIn
) -> Status[None]:
    """Its link opens nothing any more. Its row stays, to be looked at."""
    owner = caller_of(request).workspace
    withdraw(need_id(Invitation.objects.all(), owner, invitation, "invitation"))
    return Status(204, None)


def _tell(row: Invitation) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in InvitationOut.model_fields if name != "state"}
    return plain | {"state": state_of(row)}
