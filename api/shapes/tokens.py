"""API tokens as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from django.utils import timezone
from pydantic import ConfigDict, Field

from api.shapes.answers import Told
from api.shapes.fields import Moment
from api.shapes.jobs import Text
from workspaces.models import ApiToken, Role


class TokenNew(Told):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[Text, Field(min_length=1, max_length=100)] = Field(
        description="What it is for."
    )
    role: Role = Field(Role.VIEWER, description="What its bearer may do.")
    expires_at: Moment | None = Field(None, description="Without: never.")


class TokenOut(Told):
    """A program's key to the workspace. The token itself is not kept."""

    id: uuid.UUID
    name: str
    prefix: str = Field(description="The token begins with sp_, this, and _.")
    role: Role
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    revoked_at: datetime | None


class TokenMade(TokenOut):
    token: str = Field(description="Shown this once.")


class TokenPage(Told):
    items: list[TokenOut]
    next: str | None


def tell_token(row: ApiToken) -> TokenOut:
    return TokenOut(
        id=row.pk,
        name=row.name,
        prefix=row.prefix,
        role=Role(row.role),
        state=_state_of(row),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def _state_of(row: ApiToken) -> Literal["live", "expired", "revoked"]:
    if row.revoked_at is not None:
        return "revoked"
    expired = row.expires_at is not None and row.expires_at <= timezone.now()
    return "expired" if expired else "live"
