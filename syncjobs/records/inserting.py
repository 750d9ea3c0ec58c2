"""Records by the thousand in one statement, with the model's own defaults for the rest.

A record that has been made already (its fire has one, or its job waits in the queue) is left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Field, Model

from syncjobs.core.states import State
from syncjobs.models import SyncRecord


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to be: queued, or final from birth where its fire is skipped."""

    job_id: uuid.UUID
    workspace_id: uuid.UUID
    connector_id: uuid.UUID | None
    address: str
    dialled: str
    trigger: str
    scheduled_for: datetime | None  # None: somebody asked for it, and it serves no fire
    mode: str
    state: State = State.QUEUED
    waiting_for: str = "a worker"
    verdict: str = ""
    error: str = ""
    finished_at: datetime | None = None
    requested_by: str = ""
    backfill_id: uuid.UUID | None = None
    source_dataset_id: uuid.UUID | None = None
    id: uuid.UUID = field(default_factory=uuid.uuid4)


def insert_records(records: Sequence[NewRecord]) -> set[uuid.UUID]:
    """The ids of those that were made. An insertion waits for another one of the same job or fire; so all are made in
    one order."""
    if not records:
        return set()
    in_order = sorted(records, key=lambda record: (record.job_id, record.scheduled_for or _NO_FIRE))
    columns = [[getattr(record, name) for record in in_order] for name in _RECORD_COLUMNS]
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_INSERT_RECORDS} ON CONFLICT DO NOTHING RETURNING id", [*_RECORD_DEFAULTS, *columns]
        )
        return {row[0] for row in cursor.fetchall()}


_NO_FIRE = datetime.min.replace(tzinfo=UTC)
_RECORD_COLUMNS = tuple(NewRecord.__slots__)
_ARRAYS = {"UUIDField": "uuid[]", "DateTimeField": "timestamptz[]", "JSONField": "jsonb[]"}


def _insert(model: type[Model], given: Sequence[str]) -> tuple[str, list[Any]]:
    """The statement that takes an array for each given column, and the models' defaults that follow these."""
    columns = {column.attname: column for column in model._meta.concrete_fields}
    rest = {
        name: column.get_default()
        for name, column in columns.items()
        if name not in given and column.has_default() and not column.primary_key
    }
    arrays = ", ".join(f"%s::{_array_of(columns[name])}" for name in given)
    constants = ", %s" * len(rest)
    names = ", ".join([*given, *rest])
    return (
        f"INSERT INTO {model._meta.db_table} ({names})"  # noqa: S608 — names of columns
        f" SELECT u.*{constants} FROM unnest({arrays}) AS u"
    ), list(rest.values())


def _array_of(column: Field[Any, Any]) -> str:
    if column.is_relation:
        return "uuid[]"  # what every row of ours is named by
    return _ARRAYS.get(column.get_internal_type(), "text[]")


_INSERT_RECORDS, _RECORD_DEFAULTS = _insert(SyncRecord, _RECORD_COLUMNS)
