"""Invitations: nobody becomes a member of a workspace without their own consent.

An admin invites a name, and is never told whether somebody has it. The link is shown once and kept as a digest. Who
opens it while logged in under that name or e-mail address accepts; where the platform allows it, a new person takes
the name by it. The token has 256 random bits, so that a plain SHA-256 is enough.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Literal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from workspaces import auditing
from workspaces.acting import actor_now
from workspaces.lookup import filter_by_name
from workspaces.models import Invitation, Member, Role, Workspace

LIVES = timedelta(days=7)


class AlreadyInvited(Exception):
    """An invitation of this name is open."""


class AlreadyMember(Exception):
    """The person is a member of the workspace."""


class NotForYou(Exception):
    """The invitation is for somebody else."""


def invite(workspace: Workspace, name: str, role: Role) -> tuple[Invitation, str]:
    """The row and the token of its link, which nobody can see again. `name` is a user name or an e-mail
    address, of somebody or nobody. Raises AlreadyInvited, AlreadyMember, and IntegrityError where somebody else
    invites the same name at that moment."""
    check_invitable(workspace, name)
    return make_invitation(workspace, name, role)


def check_invitable(workspace: Workspace, name: str) -> None:
    """Raises AlreadyInvited, AlreadyMember."""
    same = filter_by_name(Invitation.objects.filter(**_UNDECIDED), workspace, [name])
    if same.filter(expires_at__gt=timezone.now()).exists():
        raise AlreadyInvited(f"{name} is invited already: withdraw that invitation first")
    # Of user names alone: admins see those of their members anyway, and no address.
    if filter_by_name(Member.objects.all(), workspace, [name], by="user__username").exists():
        raise AlreadyMember(f"{name} is a member already")


def make_invitation(workspace: Workspace, name: str, role: Role) -> tuple[Invitation, str]:
    """Like `invite`, for a name that was checked."""
    now = timezone.now()
    with transaction.atomic():
        same = filter_by_name(Invitation.objects.filter(**_UNDECIDED), workspace, [name])
        same.filter(expires_at__lte=now).update(withdrawn_at=now)
        token = secrets.token_urlsafe(32)
        row = Invitation.objects.create(
            workspace=workspace,
            name=name,
            role=role,
            digest=_digest(token),
            invited_by=actor_now().name[:200],
            expires_at=now + LIVES,
        )
        auditing.note_saved(row, None)
    return row, token


def find_invitation(token: str) -> Invitation | None:
    """Returns None for one that was accepted, was withdrawn, has expired, or never was."""
    rows = Invitation.objects.filter(digest=_digest(token), **_UNDECIDED)
    return rows.filter(expires_at__gt=timezone.now()).select_related("workspace").first()


def is_for(invitation: Invitation, user: AbstractBaseUser | AnonymousUser) -> bool:
    if not isinstance(user, AbstractBaseUser) or not user.is_active:
        return False
    address = str(getattr(user, "email", ""))
    by_address = "@" in address and address.casefold() == invitation.name.casefold()
    return by_address or user.get_username() == invitation.name


def accept(invitation: Invitation, user: Any) -> Member:
    """Accepts an invitation once: a second acceptance finds nothing. A member stays with the
    role they have. Raises NotForYou, Invitation.DoesNotExist."""
    if not is_for(invitation, user):
        raise NotForYou
    with transaction.atomic():
        rows = Invitation.objects.select_for_update().filter(**_UNDECIDED)
        row = rows.get(pk=invitation.pk, expires_at__gt=timezone.now())
        row.accepted_at = timezone.now()
        row.save(update_fields=["accepted_at"])
        auditing.note(row, "accepted")
        member, is_new = Member.objects.get_or_create(
            workspace=row.workspace, user=user, defaults={"role": row.role}
        )
        if is_new:
            auditing.note_saved(member, None)
    return member


def sign_up(invitation: Invitation, username: str, password: str) -> Member:
    """A new person, who may log in to the console. Raises IntegrityError where the name is taken."""
    with transaction.atomic():
        user = get_user_model().objects.create_user(
            username,
            email=invitation.name if "@" in invitation.name else "",
            password=password,
            is_staff=True,
        )
        return accept(invitation, user)


def withdraw(invitation: Invitation) -> bool:
    """Withdraws an invitation, so that its link opens nothing any more; False where it was decided before."""
    rows = Invitation.objects.filter(Q(pk=invitation.pk), **_UNDECIDED)
    with transaction.atomic():
        withdrawn = rows.update(withdrawn_at=timezone.now()) == 1
        if withdrawn:
            auditing.note(invitation, "withdrawn")
    return withdrawn


def state_of(
    invitation: Invitation,
) -> Literal["open", "accepted", "withdrawn", "expired"]:
    if invitation.accepted_at is not None:
        return "accepted"
    if invitation.withdrawn_at is not None:
        return "withdrawn"
    return "expired" if invitation.expires_at <= timezone.now() else "open"


_UNDECIDED: dict[str, Any] = {"accepted_at": None, "withdrawn_at": None}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
