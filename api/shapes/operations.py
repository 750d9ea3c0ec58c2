"""A workspace's syncs as one operation, as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictBool

from api.shapes.answers import Told
from api.shapes.conflicts import Conflict
from api.shapes.fields import Called
from api.shapes.starting import StartOut
from syncjobs.core.states import FINAL, Stage, State
from syncjobs.models import SyncRecord
from syncjobs.queries.progress import find_timeout_s


class ProgressOut(Told):
    stage: Stage | None = Field(description="Null while it waits for a worker.")
    percentage: float
    current_file: int
    total_files: int | None = Field(description="Null until all are listed.")


class SyncOut(Told):
    """A sync record by the document's names."""

    id: uuid.UUID
    status: State
    started_at: datetime | None
    completed_at: datetime | None
    files_processed: int = Field(description="Done with: added, changed, removed or unchanged.")
    error_message: str | None
    progress: ProgressOut
    heartbeat_at: datetime | None
    expected_duration_seconds: float = Field(description="The calculated timeout.")


class FileStatus(Told):
    pending: int = Field(description="Listed by the records at work, and not begun.")
    processing: int = Field(description="In hand.")
    failed: int = Field(description="Of the records at work; where none is, of the latest.")
    total: int = Field(description="In the current versions of all datasets.")


class SyncStatus(Told):
    latest_sync: SyncOut | None = Field(
        description="What runs, else the latest that was asked for."
    )
    file_status: FileStatus


class TriggerIn(Told):
    model_config = ConfigDict(extra="forbid")

    job: Annotated[Called, Field(min_length=1)] | None = Field(
        default=None, description="A job's id or name; left out: every enabled job."
    )
    full: StrictBool = Field(default=False, description="Trust no metadata: compare content.")


class TriggerOut(SyncOut, StartOut):
    """The first of the records, and what became of each job."""


class Busy(Conflict):
    latest_sync: SyncOut | None = Field(default=None, description="The sync that is at work.")


def tell_operation(record: SyncRecord) -> dict[str, Any]:
    """Fills `SyncOut`."""
    return {
        "id": record.pk,
        "status": record.state,
        "started_at": record.started_at,
        "completed_at": record.finished_at,
        "files_processed": _processed(record),
        "error_message": record.error or None,
        "progress": {
            "stage": record.stage or None,
            "percentage": record.percentage,
            "current_file": record.current_file_index,
            "total_files": record.total_files,
        },
        "heartbeat_at": record.heartbeat_at,
        "expected_duration_seconds": find_timeout_s(record),
    }


def _processed(record: SyncRecord) -> int:
    """Counts processed files. A running record has no counts by outcome yet: then the files before the current one."""
    if record.state not in FINAL:
        return max(0, record.current_file_index - record.files_failed)
    return record.files_added + record.files_changed + record.files_removed + record.files_unchanged
