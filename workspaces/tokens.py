"""API tokens: made once, shown once, kept as a digest.

A token reads `sp_<prefix>_<secret>`; the prefix finds the row, the digest of the whole decides. The
secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from workspaces import auditing
from workspaces.lookup import filter_by_name
from workspaces.models import ApiToken, Role, Workspace

M = TypeVar("M", bound=models.Model)
USE_NOTED_EVERY = timedelta(minutes=1)
# By hand, because each request of a program asks it: to make the same statement from a queryset costs four times what it
# costs to run it.
_FIND = """
SELECT {columns} FROM workspaces_apitoken t JOIN workspaces_workspace w ON w.id = t.workspace_id
 WHERE t.prefix = %s AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > %s)
"""


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
    with connection.cursor() as cursor:
        cursor.execute(_find_statement(), [parts[1], timezone.now()])
        found = cursor.fetchone()
    if found is None:
        return None
    own = len(ApiToken._meta.concrete_fields)
    row = _make(ApiToken, found[:own])
    row.workspace = _make(Workspace, found[own:])
    if not hmac.compare_digest(row.digest, _digest(token)):
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


@cache
def _find_statement() -> str:
    columns = [
        f'{alias}."{field.column}"'
        for alias, model in (("t", ApiToken), ("w", Workspace))
        for field in model._meta.concrete_fields
    ]
    return _FIND.format(columns=", ".join(columns))


def _make(model: type[M], values: Sequence[Any]) -> M:
    """An instance of the values of all its columns, as the database gives them."""
    names, converted = _columns_of(model)
    given = list(values)
    for at, converters in converted:
        for convert in converters:
            given[at] = convert(given[at], None, connection)
    return model.from_db(connection.alias, names, given)


@cache
def _columns_of(model: type[models.Model]) -> tuple[list[str], list[tuple[int, list[Any]]]]:
    """The names of all columns, and by place the converters of those that have some."""
    fields = model._meta.concrete_fields
    converters = [field.get_db_converters(connection) for field in fields]
    found = [(at, each) for at, each in enumerate(converters) if each]
    return [field.attname for field in fields], found


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
