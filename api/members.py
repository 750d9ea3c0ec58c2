"""`/api/workspaces/{workspace}/members`: which people may do what. They come by `api.invitations`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router, Schema, Status
from pydantic import ConfigDict, Field

from api.answers import Refused
from api.callers import ADMIN, caller_of
from api.finding import need_row
from api.jobs import CONFLICTS, REFUSALS, WorkspaceIn
from api.numbered import NumberedIn, take_numbered
from workspaces.members import LastAdmin, remove_member, save_member
from workspaces.models import Member, Role

router = Router(tags=["members"])
MemberIn = Annotated[str, Path(description="The person's user name.")]


class MemberChange(Schema):
    model_config = ConfigDict(extra="forbid")

    role: Role


class MemberOut(Schema):
    """A person's role in the workspace."""

    user: str
    role: Role
    is_active: bool = Field(description="May log in.")


class MemberPage(Schema):
    items: list[MemberOut]
    next: str | None


@router.get("", response={200: MemberPage, **REFUSALS}, auth=ADMIN)
def list_members(request: HttpRequest, workspace: WorkspaceIn, page: NumberedIn) -> dict[str, Any]:
    """In the order in which they came."""
    rows = Member.objects.filter(workspace=caller_of(request).workspace).select_related("user")
    found, following = take_numbered(rows, page, "pk")
    return {"items": [_tell(row) for row in found], "next": following}


@router.patch("/{member}", response={200: MemberOut, **CONFLICTS}, auth=ADMIN)
def change_member(
    request: HttpRequest, workspace: WorkspaceIn, member: MemberIn, body: MemberChange
) -> dict[str, Any]:
    """Another role. The last admin of a workspace stays one."""
    found = _get(request, member)
    found.role = body.role
    try:
        save_member(found)
    except LastAdmin as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return _tell(found)


@router.delete("/{member}", response={204: None, **CONFLICTS}, auth=ADMIN)
def drop_member(request: HttpRequest, workspace: WorkspaceIn, member: MemberIn) -> Status[None]:
    """The person stays, but not in this workspace. The last admin cannot go."""
    try:
        remove_member(_get(request, member))
    except LastAdmin as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return Status(204, None)


def _get(request: HttpRequest, name: str) -> Member:
    """Raises Refused."""
    rows = Member.objects.select_related("user")
    return need_row(rows, caller_of(request).workspace, name, "member", by="user__username")


def _tell(row: Member) -> dict[str, Any]:
    return {"user": row.user.get_username(), "role": row.role, "is_active": row.user.is_active}
