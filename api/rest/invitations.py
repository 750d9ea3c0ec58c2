"""`/api/workspaces/{workspace}/invitations`: who is asked to become a member. They accept in the console."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from django.http import HttpRequest
from django.urls import reverse
from ninja import Path, Query, Router, Status

from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import ADMIN, caller_of
from api.rest.finding import WorkspaceIn, need_id
from api.rest.pages import LAST_MADE_FIRST, PageQuery
from api.shapes.invitations import (
    InvitationMade,
    InvitationNew,
    InvitationOut,
    InvitationPage,
    tell_invitation,
)
from workspaces.invitations import AlreadyInvited, AlreadyMember, invite, withdraw
from workspaces.models import Invitation

router = Router(tags=["members"])
InvitationIn = Annotated[str, Path(description="The invitation's id.")]


@router.get("", response={200: InvitationPage, **REFUSALS}, auth=ADMIN)
def list_invitations(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[PageQuery, Query()]
) -> InvitationPage:
    """The newest first."""
    rows = Invitation.objects.filter(workspace=caller_of(request).workspace)
    found, following = LAST_MADE_FIRST.take(rows, query)
    return InvitationPage(items=[tell_invitation(row) for row in found], next=following)


@router.post("", response={201: InvitationMade, **CONFLICTS}, auth=ADMIN)
def invite_person(
    request: HttpRequest, workspace: WorkspaceIn, body: InvitationNew
) -> Status[InvitationMade]:
    """The answer is the same whether or not somebody has the name. Give them the link: who opens it within a week
    sets a password, or logs in under this name, and becomes a member by their own consent."""
    try:
        row, token = invite(caller_of(request).workspace, body.name, body.role)
    except (AlreadyInvited, AlreadyMember) as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.", errors={"name": [str(exc)]}) from None
    path = reverse("invitation", args=[token])
    url = request.build_absolute_uri(path)
    return Status(201, InvitationMade(**dict(tell_invitation(row)), url=url, path=path))


@router.get("/{invitation}", response={200: InvitationOut, **REFUSALS}, auth=ADMIN)
def read_invitation(
    request: HttpRequest, workspace: WorkspaceIn, invitation: InvitationIn
) -> InvitationOut:
    """Without its link, which is not kept."""
    return tell_invitation(_get(request, invitation))


@router.delete("/{invitation}", response={204: None, **REFUSALS}, auth=ADMIN)
def withdraw_invitation(
    request: HttpRequest, workspace: WorkspaceIn, invitation: InvitationIn
) -> Status[None]:
    """Withdraws an invitation. Its link opens nothing any more; its row stays visible."""
    withdraw(_get(request, invitation))
    return Status(204, None)


def _get(request: HttpRequest, called: str) -> Invitation:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_id(Invitation.objects.all(), owner, called, "invitation")
