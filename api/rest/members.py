"""`/api/workspaces/{workspace}/members`: which people may do what. They come by `api.rest.invitations`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from django.http import HttpRequest
from ninja import Path, Router, Status

from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import ADMIN, caller_of
from api.rest.finding import WorkspaceIn, need_row
from api.rest.numbered import NumberedIn, take_numbered
from api.shapes.members import (
    MemberChange,
    MemberOut,
    MemberPage,
    MemberReplacement,
    tell_member,
)
from workspaces.members import LastAdmin, remove_member, save_member
from workspaces.models import Member, Role

router = Router(tags=["members"])
MemberIn = Annotated[str, Path(description="The person's user name.")]


@router.get("", response={200: MemberPage, **REFUSALS}, auth=ADMIN)
def list_members(request: HttpRequest, workspace: WorkspaceIn, page: NumberedIn) -> MemberPage:
    """Lists members in the order in which they came."""
    rows = Member.objects.filter(workspace=caller_of(request).workspace).select_related("user")
    found, following = take_numbered(rows, page, "pk")
    return MemberPage(items=[tell_member(row) for row in found], next=following)


@router.get("/{member}", response={200: MemberOut, **REFUSALS}, auth=ADMIN)
def read_member(request: HttpRequest, workspace: WorkspaceIn, member: MemberIn) -> MemberOut:
    return tell_member(_get(request, member))


@router.put("/{member}", response={200: MemberOut, **CONFLICTS}, auth=ADMIN)
def replace_member(
    request: HttpRequest, workspace: WorkspaceIn, member: MemberIn, body: MemberReplacement
) -> MemberOut:
    """A member has nothing but a role that can change. The last admin of a workspace stays one."""
    return _give(_get(request, member), body.role)


@router.patch("/{member}", response={200: MemberOut, **CONFLICTS}, auth=ADMIN)
def change_member(
    request: HttpRequest, workspace: WorkspaceIn, member: MemberIn, body: MemberChange
) -> MemberOut:
    """Gives a member another role. The last admin of a workspace stays one."""
    return _give(_get(request, member), body.role)


@router.delete("/{member}", response={204: None, **CONFLICTS}, auth=ADMIN)
def drop_member(request: HttpRequest, workspace: WorkspaceIn, member: MemberIn) -> Status[None]:
    """The person stays, but not in this workspace. The last admin cannot go."""
    try:
        remove_member(_get(request, member))
    except LastAdmin as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return Status(204, None)


def _give(found: Member, role: Role) -> MemberOut:
    """Raises Refused."""
    found.role = role
    try:
        save_member(found)
    except LastAdmin as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return tell_member(found)


def _get(request: HttpRequest, name: str) -> Member:
    """Raises Refused."""
    rows = Member.objects.select_related("user")
    return need_row(rows, caller_of(request).workspace, name, "member", by="user__username")
