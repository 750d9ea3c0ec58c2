"""Who changed what, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from workspaces.acting import Door
from workspaces.models import AuditEntry


class AuditOut(Told):
    """One change of what people set."""

    id: int
    at: datetime
    actor: str = Field(description="A user's name, `token NAME`, or the account of a shell.")
    door: Door = Field(description="Where they came in.")
    action: str = Field(description="created, changed, deleted, revoked, resumed, rolled back …")
    kind: str = Field(description="Of the object: connector, sync job, api token …")
    object_id: str
    object_name: str
    changes: dict[str, Any] = Field(
        description="By field, the value before and after; of a secret, only that it is stored."
    )


class AuditPage(Told):
    items: list[AuditOut]
    next: str | None


def tell_audit_entry(row: AuditEntry) -> AuditOut:
    return AuditOut(
        id=row.pk,
        at=row.at,
        actor=row.actor,
        door=Door(row.door),
        action=row.action,
        kind=row.kind,
        object_id=row.object_id,
        object_name=row.object_name,
        changes=row.changes,
    )
