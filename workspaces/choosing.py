"""Finds the workspace that a person works in. The session holds it, and every request checks it. What was chosen last
is remembered, for the next log-in."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, MutableMapping
from typing import Any

from workspaces.models import Member, PersonalChoice, Role, Workspace

_CHOSEN = "workspace"
KEYS_OFF = "keys_off"  # templates read it


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


def choose(session: MutableMapping[str, Any], user: Any, workspace_pk: uuid.UUID | None) -> None:
    """None: all of them."""
    PersonalChoice.objects.update_or_create(
        user_id=user.pk, defaults={"workspace_id": workspace_pk}
    )
    if workspace_pk is None:
        session.pop(_CHOSEN, None)
    else:
        session[_CHOSEN] = str(workspace_pk)


def resume_choices(session: MutableMapping[str, Any], user: Any) -> None:
    """Goes on as the person had it at their last log-in."""
    last = PersonalChoice.objects.filter(user_id=user.pk).first()
    if last is None:
        return
    if last.workspace_id is not None:
        session[_CHOSEN] = str(last.workspace_id)
    session[KEYS_OFF] = not last.letter_keys


def switch_letter_keys(session: MutableMapping[str, Any], user: Any, *, on: bool) -> None:
    PersonalChoice.objects.update_or_create(user_id=user.pk, defaults={"letter_keys": on})
    session[KEYS_OFF] = not on
