"""A sync record as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from syncjobs.core.states import State
from syncjobs.models import SyncRecord


class RecordOut(Told):
    """One execution of a sync job."""

    id: uuid.UUID
    job: str = Field(description="The job's name.")
    job_id: uuid.UUID
    connector: str = Field(description="The connector's name.")
    connector_id: uuid.UUID
    trigger: str
    scheduled_for: datetime | None
    backfill_id: uuid.UUID | None
    mode: str
    dry_run: bool
    state: State
    verdict: str = Field(description="The rule that decided last.")
    stage: str
    percentage: float
    current_file_index: int
    total_files: int | None
    files_added: int
    files_changed: int
    files_removed: int
    files_unchanged: int
    files_failed: int
    files_skipped: int
    files_deferred: int
    bytes_transferred: int
    attempt: int
    heartbeat_at: datetime | None
    expected_duration_s: float | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    error_code: str
    warning: str
    waiting_for: str
    dataset_version: int | None


class RecordPage(Told):
    items: list[RecordOut]
    next: str | None


# The rest of a record's columns is for its worker; they are long, and many.
SHOWN = [
    name
    for name in RecordOut.model_fields
    if name not in ("job", "connector", "job_id", "connector_id", "backfill_id")
]


def tell_line(line: Any) -> dict[str, Any]:
    """Fills `RecordOut`; `line` of `lines_of`."""
    return {**line._asdict(), "job": line.job__name, "connector": line.connector__name}


def tell_record(record: SyncRecord) -> dict[str, Any]:
    """Fills `RecordOut`; `record` with its job and connector."""
    return {
        "job": record.job.name,
        "job_id": record.job_id,
        "connector": record.connector.name,
        "connector_id": record.connector_id,
        "backfill_id": record.backfill_id,
        **{name: getattr(record, name) for name in SHOWN},
    }
