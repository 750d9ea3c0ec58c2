"""Notes when all that a job's source has was last looked at."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import structlog

log = structlog.get_logger(__name__)

_NOTE = """
UPDATE syncjobs_syncjob SET last_verified_at = now()
 WHERE id = (SELECT job_id FROM syncjobs_syncrecord WHERE id = %s)
"""


def note_verified(session: psycopg.Connection[Any], record_id: uuid.UUID) -> None:
    """Call it after the transaction that publishes: that one holds the dataset, and whoever changes a job holds the job
    when he comes for the dataset. If the note is lost, the source is looked at once more: nothing fails for it."""
    try:
        session.execute(_NOTE, [record_id])
    except psycopg.Error as exc:
        log.warning("record.verification_not_noted", record=str(record_id), sqlstate=exc.sqlstate)
