"""The people of a workspace as JSON."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from api.shapes.answers import Told
from api.shapes.jobs import Fact
from workspaces.models import Member, Role


class MemberChange(Told):
    model_config = ConfigDict(extra="forbid")

    role: Role


class MemberReplacement(MemberChange):
    """What else an answer tells is taken too, without effect: a program may send what it has read."""

    user: Fact = None
    is_active: Fact = None


class MemberOut(Told):
    """A person's role in the workspace."""

    user: str
    role: Role
    is_active: bool = Field(description="May log in.")


class MemberPage(Told):
    items: list[MemberOut]
    next: str | None


def tell_member(row: Member) -> MemberOut:
    return MemberOut(
        user=row.user.get_username(), role=Role(row.role), is_active=row.user.is_active
    )
