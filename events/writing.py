"""The one place that writes the event log."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection

from database.rows import Cursor
from farends.names import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to be, about one subject of a workspace; about the installation where it names neither."""

    event: str
    workspace_id: uuid.UUID | None = None
    record_id: uuid.UUID | None = None
    connector_id: uuid.UUID | None = None
    dataset_id: uuid.UUID | None = None
    stream_id: uuid.UUID | None = None
    from_state: str = ""
    to_state: str = ""
    token: int = 0
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


_COLUMNS = {
    "event": "text",
    "workspace_id": "uuid",
    "record_id": "uuid",
    "connector_id": "uuid",
    "dataset_id": "uuid",
    "stream_id": "uuid",
    "from_state": "text",
    "to_state": "text",
    "token": "bigint",
    "reason": "text",
    "data": "jsonb",
}
_INTO = f"INSERT INTO events_syncevent ({', '.join(_COLUMNS)})"
_ONE = f"{_INTO} VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
_ARRAYS = ", ".join(f"%s::{kind}[]" for kind in _COLUMNS.values())
_MANY = f"{_INTO} SELECT * FROM unnest({_ARRAYS})"  # noqa: S608 — names of columns and types
_plain = attrgetter(*list(_COLUMNS)[:-2])
_encode = DjangoJSONEncoder().encode


def write_events(events: Sequence[NewEvent]) -> None:
    """Writes events in the transaction of what they tell, so that neither exists without the other. One statement."""
    if events:
        with connection.cursor() as cursor:
            write_events_by(cursor, events)


def write_events_by(cursor: Cursor, events: Sequence[NewEvent]) -> None:
    """Does the same in the transaction of another session's cursor."""
    rows = [(*_plain(event), printable(event.reason), _encode(event.data)) for event in events]
    if len(rows) == 1:
        cursor.execute(_ONE, rows[0])
    elif rows:
        cursor.execute(_MANY, [list(column) for column in zip(*rows, strict=True)])
