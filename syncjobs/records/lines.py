"""The lines of the log that tell of a record from its start to its end, with all by which people look for it."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass

import structlog
from django.db import connection

from database.rows import fetch_rows
from syncjobs.models import SyncRecord

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EndLine:
    """How an attempt ended, and so perhaps its record. `duration_s` is what all attempts have worked, together."""

    job: str
    workspace: str
    state: str  # queued: the record is tried again, or goes on elsewhere
    attempt: int
    timeout_s: float | None
    duration_s: float | None
    files: int
    bytes: int
    error_code: str | None
    error: str | None  # free of secrets, as it is stored

    def __str__(self) -> str:
        code = f" {self.error_code}" if self.error_code else ""
        words = (
            self.error or f"{self.files} files, {self.bytes} bytes, {self.duration_s or 0:.1f} s"
        )
        return f"{self.state}{code} at attempt {self.attempt}, job {self.job} of {self.workspace}: {words}"


_SQL = """
SELECT j.name AS job, w.name AS workspace, r.state, r.attempt, r.deadline_s AS timeout_s, r.worked_s AS duration_s,
       r.current_file_index AS files, r.bytes_transferred AS bytes, nullif(r.error_code, '') AS error_code,
       nullif(r.error, '') AS error
  FROM syncjobs_syncrecord r JOIN syncjobs_syncjob j ON j.id = r.job_id
  JOIN workspaces_workspace w ON w.id = r.workspace_id
 WHERE r.id = %s AND r.started_at IS NOT NULL
"""


def log_start(record: SyncRecord, timeout_s: float) -> None:
    """`record` with its job and workspace; for each attempt."""
    log.info(
        "record.started",
        record=str(record.pk),
        job=record.job.name,
        workspace=record.workspace.name,
        attempt=record.attempt,
        timeout_s=round(timeout_s, 1),
    )


def log_end(record_id: uuid.UUID, line: EndLine) -> None:
    """Of each attempt that its worker ends, and of what else ends a record."""
    told = asdict(line)
    for name in ("timeout_s", "duration_s"):
        told[name] = None if told[name] is None else round(told[name], 1)
    log.info("record.ended", record=str(record_id), **told)


def log_end_from_outside(record_id: uuid.UUID) -> None:
    """Says nothing of a record that never began."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [record_id])
        found = fetch_rows(cursor, EndLine)
    for line in found:
        log_end(record_id, line)
