"""The last records of some jobs at once, for the marks that stand beside a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from database.rows import fetch_rows


@dataclass(frozen=True, slots=True)
class RecentRecord:
    id: UUID
    job_id: UUID
    state: str
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float  # what its attempts that have ended worked
    waiting_for: str


_SQL = """
SELECT r.id, j.id AS job_id, r.state, r.queued_at, r.started_at, r.finished_at,
       coalesce(r.worked_s, 0) AS duration_s, r.waiting_for
  FROM unnest(%s::uuid[]) j (id)
 CROSS JOIN LATERAL (SELECT * FROM syncjobs_syncrecord
                      WHERE job_id = j.id AND NOT dry_run ORDER BY queued_at DESC LIMIT %s) r
 ORDER BY r.queued_at
"""


def load_recent(jobs: Sequence[UUID], most: int) -> dict[UUID, list[RecentRecord]]:
    """By job, the oldest first. A job without a record is left out. Plans are no syncs."""
    found: dict[UUID, list[RecentRecord]] = {}
    if jobs:
        with connection.cursor() as cursor:
            cursor.execute(_SQL, [list(jobs), most])
            for row in fetch_rows(cursor, RecentRecord):
                found.setdefault(row.job_id, []).append(row)
    return found
