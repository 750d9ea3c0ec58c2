"""Finds the workspace that a person works in. The session holds it, and every request checks it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, MutableMapping
from typing import Any

from workspaces.models import Member, Role, Workspace

_CHOSEN = "workspace"


def find_role(user: Any, workspace_pk: uuid.UUID) -> Role | None:
    """Finds the role of a person in a workspace; None for a person without one."""
    if user.is_superuser:
        return Role.ADMIN if Workspace.objects.filter(pk=workspace_pk).exists() else None
    role = Member.objects.filter(user=user.pk, workspace=workspace_pk).values_list("role").first()
    return None if role is None else Role(role[0])


def find_chosen(session: Mapping[str, Any], user: Any) -> uuid.UUID | None:
    """Returns None also if the person has left the workspace that they chose."""
    try:
        chosen = uuid.UUID(str(session.get(_CHOSEN)))
    except ValueError:
        return None
    return None if find_role(user, chosen) is None else chosen


def choose(session: MutableMapping[str, Any], workspace_pk: uuid.UUID | None) -> None:
    """None: all of them."""
    if workspace_pk is None:
        session.pop(_CHOSEN, None)
    else:
        session[_CHOSEN] = str(workspace_pk)
