"""Changes the members of a workspace. A workspace with an active admin always keeps one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from workspaces import auditing
from workspaces.models import Member, Role, Workspace


class LastAdmin(Exception):
    """The workspace would have no admin any more."""


def save_member(member: Member) -> None:
    """Gives a member another role; a new one is put there by the platform itself (others are invited, see
    `workspaces.invitations`). Raises LastAdmin, and IntegrityError for who is a member already."""
    with transaction.atomic():
        _lock(member)
        stored = Member.objects.filter(pk=member.pk).first()
        if stored is not None and member.role != Role.ADMIN and is_last_admin([stored]):
            raise LastAdmin(_words([stored]))
        member.save()
        auditing.note_saved(member, stored)


def remove_member(member: Member) -> None:
    """Raises LastAdmin."""
    with transaction.atomic():
        _lock(member)
        if is_last_admin([member]):
            raise LastAdmin(_words([member]))
        auditing.note_deleted(member)
        member.delete()


def is_last_admin(members: Iterable[Member]) -> bool:
    """Whether a workspace of these members would have no admin without them, and has one now."""
    gone = [member.pk for member in members]
    theirs: QuerySet[Member, Any] = Member.objects.filter(
        pk__in=gone, role=Role.ADMIN, user__is_active=True
    )
    needed = set(theirs.values_list("workspace", flat=True))
    staying = Member.objects.filter(
        workspace__in=needed, role=Role.ADMIN, user__is_active=True
    ).exclude(pk__in=gone)
    return bool(needed - set(staying.values_list("workspace", flat=True)))


def _lock(member: Member) -> None:
    """Two admins who remove each other do so one after the other."""
    Workspace.objects.select_for_update(no_key=True).get(pk=member.workspace_id)


def _words(members: list[Member]) -> str:
    names = ", ".join(str(member.user) for member in members)
    return f"{names} is the last admin of the workspace: make somebody else one first"
