"""API tokens: made once, shown once, kept as a digest.

A token reads `sp_<prefix>_<secret>`; the prefix finds the row, the digest of the whole decides. The
secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from workspaces import auditing
from workspaces.lookup import filter_by_name
from workspaces.models import ApiToken, Role, Workspace

USE_NOTED_EVERY = timedelta(minutes=1)


class RoleTooHigh(Exception):
    """The token would have a higher role than the person who makes it."""


def create_token(
    workspace: Workspace,
    *,
    name: str,
    role: Role,
    expires_at: datetime | None = None,
    granted_by: Role = Role.ADMIN,
) -> tuple[ApiToken, str]:
    """The stored row and the token itself, which nobody can see again. Raises RoleTooHigh."""
    if not granted_by.covers(role):
        raise RoleTooHigh(f"your role is {granted_by.value}, and the token's would be {role.value}")
    prefix = secrets.token_hex(4)
    token = f"sp_{prefix}_{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        row = ApiToken.objects.create(
            workspace=workspace,
            name=name,
            role=role,
            prefix=prefix,
            digest=_digest(token),
            expires_at=expires_at,
        )
        auditing.note_saved(row, None)
    return row, token


def find_token(token: str) -> ApiToken | None:
    """The live row of a token, or None for one that is wrong, expired or revoked."""
    parts = token.split("_", 2)
    if len(parts) != 3 or parts[0] != "sp" or not parts[1].isalnum():
        return None
    row = (
        ApiToken.objects.select_related("workspace")
        .filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)
        .filter(prefix=parts[1])
        .first()
    )
    if row is None or not hmac.compare_digest(row.digest, _digest(token)):
        return None
    return row


def is_live(pk: uuid.UUID) -> bool:
    """Whether a token that was good still is."""
    live = ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
    return live.filter(pk=pk, revoked_at=None).exists()


def note_use(token: ApiToken) -> None:
    """Remembers when a token was used last, to the minute."""
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def revoke_token(token: ApiToken) -> bool:
    """Programs that use it stop working at once; False where it was revoked before."""
    live = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    with transaction.atomic():
        revoked = live.update(revoked_at=timezone.now()) == 1
        if revoked:
            auditing.note(token, "revoked")
    return revoked


def revoke_tokens(workspace: Workspace, *, name: str) -> int:
    """Revokes the workspace's live tokens of that name; returns their count."""
    live = filter_by_name(ApiToken.objects.filter(revoked_at=None), workspace, [name])
    return sum(revoke_token(token) for token in live)


def rename_token(token: ApiToken, name: str) -> None:
    with transaction.atomic():
        stored = ApiToken.objects.select_for_update().get(pk=token.pk)
        token.name = name
        token.save(update_fields=["name"])
        auditing.note_saved(token, stored)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
