"""The audit trail: who changed what, and through which door.

An entry is written in the transaction of its change, so that there is none without the other. Values of secrets
are never written, but that one was given anew is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import models

from workspaces.acting import Actor, Door, actor_now
from workspaces.models import AuditEntry, Workspace

CREATED, CHANGED, DELETED = "created", "changed", "deleted"
_SEALED = "sealed_secret"
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def note_saved(
    row: models.Model, stored: models.Model | None, more: Mapping[str, Any] | None = None
) -> None:
    """`stored`: the row as it was before; None for a new one. `more` are changes that no column of the row shows. Where
    nothing watched differs, nothing is noted."""
    changes = _differences(row, stored) | dict(more or {})
    if stored is None:
        note(row, CREATED, changes)
    elif changes:
        note(row, CHANGED, changes)


def note_deleted(row: models.Model) -> None:
    """Call it before the row goes. Its last values stay readable."""
    note(row, DELETED, {field.name: [_show(row, field), None] for field in _watched(row)})


def note_act(row: models.Model, action: str, changes: Mapping[str, Any] | None = None) -> None:
    """Notes what a person or a program asked for by REST, the console or a command. The platform's own acts are
    events, and an agent's are noted under the name of their tool."""
    note_acts([row], action, lambda _: changes)


def note_acts(
    rows: Iterable[models.Model],
    action: str,
    find_changes: Callable[[models.Model], Mapping[str, Any] | None],
) -> None:
    """The same of many rows, in one statement."""
    actor = actor_now()
    if actor.door not in (Door.SYSTEM, Door.MCP):
        entries = [_make_entry(row, action, find_changes(row), actor) for row in rows]
        AuditEntry.objects.bulk_create(entries)


def note(row: models.Model, action: str, changes: Mapping[str, Any] | None = None) -> None:
    """`changes` is plain JSON: by field, the value before and after."""
    _make_entry(row, action, changes, actor_now()).save(force_insert=True)


def _make_entry(
    row: models.Model, action: str, changes: Mapping[str, Any] | None, actor: Actor
) -> AuditEntry:
    of = row if isinstance(row, Workspace) else getattr(row, "workspace")  # noqa: B009 — of any model with one
    return AuditEntry(
        workspace=None if row is of and action == DELETED else of,
        actor=actor.name[:200],
        door=actor.door,
        action=action,
        kind=str(row._meta.verbose_name),
        object_id=str(row.pk),
        object_name=str(row)[:255],
        changes=dict(changes or {}),
    )


def _differences(row: models.Model, stored: models.Model | None) -> dict[str, list[Any]]:
    changes = {}
    for field in _watched(row):
        before = getattr(stored, field.attname) if stored is not None else None
        after = getattr(row, field.attname)
        if after != before and (stored is not None or after not in _NOTHING):
            shown = None if stored is None else _show(stored, field)
            changes[field.name] = [shown, _show(row, field)]
    sealed = getattr(row, _SEALED, "")
    if sealed != getattr(stored, _SEALED, ""):
        kept = "stored" if getattr(stored, _SEALED, "") else None
        changes["secret"] = [
            kept,
            "stored anew" if kept and sealed else "stored" if sealed else None,
        ]
    return changes


def _watched(row: models.Model) -> list[models.Field[Any, Any]]:
    """What people set: of a row, all but its key, its workspace, and what the platform keeps there."""
    fields = [field for field in row._meta.concrete_fields if field.editable]
    return [field for field in fields if field.name != "workspace"]


def _show(row: models.Model, field: models.Field[Any, Any]) -> Any:
    value = getattr(row, field.name)
    return str(value) if isinstance(value, models.Model) else value
