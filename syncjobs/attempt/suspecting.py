"""A record that succeeded gets the verdict `suspect` where it did much less or more than its job usually does.

Its version is published all the same: people look, and decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DatabaseError, connection

from database.rows import fetch_rows
from syncjobs.core.states import Event
from syncjobs.core.suspicion import SUSPECT, Amounts, find_suspicion
from syncjobs.engine.progress import Progress
from syncjobs.models import SyncRecord, Trigger
from syncjobs.works.contract import Ending

log = structlog.get_logger(__name__)

COMPARED = 20  # the latest successes
LOOKED_AT = 200  # the latest records, among which these are found

# Of the same mode: a full record fetches again what is there. Rows that are sent again are no sync of their table.
_AMOUNTS = """
SELECT TRUE AS is_own, files_added + files_changed AS files, rows_read, bytes_transferred,
       CASE WHEN attempt <= 1 AND tries_until IS NULL
            THEN coalesce(worked_s, 0) + extract(epoch FROM clock_timestamp() - claimed_at)::float END AS duration_s
  FROM syncjobs_syncrecord WHERE id = %(record)s
 UNION ALL (
SELECT FALSE, files_added + files_changed, rows_read, bytes_transferred,
       CASE WHEN attempt <= 1 AND tries_until IS NULL THEN worked_s END
  FROM (SELECT * FROM syncjobs_syncrecord WHERE job_id = %(job)s ORDER BY queued_at DESC LIMIT %(looked_at)s) latest
 WHERE state = 'succeeded' AND NOT dry_run AND mode = %(mode)s AND trigger <> 'redrive' AND started_at IS NOT NULL
 ORDER BY queued_at DESC LIMIT %(compared)s)
"""


@dataclass(frozen=True, slots=True)
class _Row:
    is_own: bool
    files: int
    rows_read: int | None
    bytes_transferred: int
    duration_s: float | None

    @property
    def amounts(self) -> Amounts:
        count = self.files if self.rows_read is None else self.rows_read
        return Amounts(count, self.bytes_transferred, self.duration_s)


def suspect(record: SyncRecord, progress: Progress, ending: Ending) -> Ending:
    """The ending, with the verdict and the reason where what was done is unusual."""
    if ending.event is not Event.SUCCEEDED or record.dry_run or record.trigger == Trigger.REDRIVE:
        return ending
    try:
        words = _find_words(record, progress, ending.changes)
    except DatabaseError as exc:  # what is done does not hang on what is said of it
        log.warning("record.not_judged", error=str(exc).partition("\n")[0])
        connection.close()
        return ending
    if not words:
        return ending
    log.warning("record.suspect", reason=words)
    warning = "; ".join(filter(None, (ending.changes.get("warning"), words)))
    return ending.with_evidence({SUSPECT: words}, verdict=SUSPECT, warning=warning)


def _find_words(record: SyncRecord, progress: Progress, changes: dict[str, Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            _AMOUNTS,
            {
                "record": record.pk, "job": record.job_id, "mode": record.mode,
                "compared": COMPARED, "looked_at": LOOKED_AT,
            },
        )  # fmt: skip
        rows = fetch_rows(cursor, _Row)
    own = next(row for row in rows if row.is_own).amounts
    rows_read = changes.get("rows_read")
    now = Amounts(
        own.count if rows_read is None else rows_read,
        changes.get("bytes_transferred", progress.snapshot.bytes_transferred),
        own.duration_s,
    )
    past = [row.amounts for row in rows if not row.is_own]
    return find_suspicion(now, past, noun="files" if rows_read is None else "rows")
