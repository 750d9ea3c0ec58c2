"""Many alerts at once: locked in the order of their keys, and written by one statement."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.db import connection

from alerts.models import Alert

Key = TypeVar("Key", bound=tuple[uuid.UUID, str, uuid.UUID])

_COLUMNS = [field.attname for field in Alert._meta.concrete_fields]
_LOCK = f"""
SELECT {", ".join(f"a.{name}" for name in _COLUMNS)} FROM alerts_alert a
  JOIN unnest(%s::uuid[], %s::text[], %s::uuid[], %s::boolean[]) AS k(rule_id, subject_kind, subject_id, is_bad)
    ON a.rule_id = k.rule_id AND a.subject_kind = k.subject_kind AND a.subject_id = k.subject_id
 WHERE k.is_bad OR a.firing OR a.bad_in_a_row > 0
 ORDER BY a.rule_id, a.subject_kind, a.subject_id FOR NO KEY UPDATE OF a
"""  # noqa: S608 — names of columns

# What the watch writes. Whoever silences an alert writes who and why.
_WRITTEN = {
    "id": "uuid",
    "workspace_id": "uuid",
    "rule_id": "uuid",
    "kind": "text",
    "subject_kind": "text",
    "subject_id": "uuid",
    "subject_name": "text",
    "firing": "boolean",
    "bad_in_a_row": "integer",
    "flapping": "boolean",
    "changes": "text",  # an array of arrays would be one of two dimensions
    "severity": "text",
    "detail": "text",
    "record_id": "uuid",
    "error_code": "text",
    "occurrences": "integer",
    "opened_at": "timestamptz",
    "last_seen_at": "timestamptz",
    "resolved_at": "timestamptz",
    "silenced_until": "timestamptz",
}
_FIXED = {"id", "workspace_id", "rule_id", "subject_kind", "subject_id"}
_VALUES = {name: f"u.{name}" for name in _WRITTEN} | {"changes": "u.changes::timestamptz[]"}
_WRITE = f"""
INSERT INTO alerts_alert ({", ".join(_WRITTEN)}, silenced_by, silence_reason)
SELECT {", ".join(_VALUES.values())}, '', ''
  FROM unnest({", ".join(f"%s::{kind}[]" for kind in _WRITTEN.values())}) AS u({", ".join(_WRITTEN)})
    ON CONFLICT (rule_id, subject_kind, subject_id) DO UPDATE SET
       {", ".join(f"{name} = excluded.{name}" for name in _WRITTEN if name not in _FIXED)}
"""  # noqa: S608 — names of columns and types


def lock_alerts(keys: Mapping[Key, bool]) -> dict[Key, Alert]:
    """Those that exist. Each key says whether its news are bad: good ones lock only what they can move."""
    if not keys:
        return {}
    columns = [list(column) for column in zip(*keys, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [*columns, list(keys.values())])
        rows = [Alert.from_db(connection.alias, _COLUMNS, row) for row in cursor.fetchall()]
    by_key: dict[Any, Alert] = {
        (row.rule_id, row.subject_kind, row.subject_id): row for row in rows
    }
    return {key: by_key[key] for key in keys if key in by_key}


def write_alerts(alerts: Sequence[Alert]) -> None:
    """In the order of their keys, new ones too."""
    if not alerts:
        return
    columns = [[_plain(alert, name) for alert in alerts] for name in _WRITTEN]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, columns)


def list_written(alert: Alert) -> tuple[Any, ...]:
    """What `write_alerts` writes, to tell whether it is needed."""
    return tuple(_plain(alert, name) for name in _WRITTEN)


def _plain(alert: Alert, name: str) -> Any:
    value = getattr(alert, name)
    if name == "changes":
        return "{" + ",".join(change.isoformat() for change in value) + "}"
    return value
