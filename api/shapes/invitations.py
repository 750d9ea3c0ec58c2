"""Invitations as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictStr

from api.shapes.answers import Told
from workspaces.invitations import state_of
from workspaces.models import Invitation, Role

Name = Annotated[StrictStr, Field(min_length=1, max_length=254, pattern=r"^[\w.@+-]+$")]


class InvitationNew(Told):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(
        description="A user name exactly as the person logs in, or an e-mail address. Nobody is told whether"
        " somebody has it."
    )
    role: Role = Role.VIEWER


class InvitationOut(Told):
    """An invitation to the workspace, for the person with the name and the link. The link itself is not kept."""

    id: uuid.UUID
    name: str
    role: Role
    state: Literal["open", "accepted", "withdrawn", "expired"]
    invited_by: str
    created_at: datetime
    expires_at: datetime


class InvitationMade(InvitationOut):
    url: str = Field(description="The link. Shown this once.")
    path: str = Field(description="Of the link, below this server's address. Shown this once.")


class InvitationPage(Told):
    items: list[InvitationOut]
    next: str | None


def tell_invitation(row: Invitation) -> InvitationOut:
    return InvitationOut(
        id=row.pk,
        name=row.name,
        role=Role(row.role),
        state=state_of(row),
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
