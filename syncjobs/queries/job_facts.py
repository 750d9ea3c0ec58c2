"""What the list of sync jobs tells beside the jobs themselves, for a page of them in two queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from database.rows import fetch_rows
from syncjobs.models import SyncJob, SyncRecord

AVERAGED = 20  # the latest successful runs


@dataclass(frozen=True, slots=True)
class JobFacts:
    latest: SyncRecord | None = None
    version: int | None = None
    average_s: float | None = None
    tree_version: int | None = None
    tree_warning: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    id: UUID
    latest_id: UUID | None
    version: int | None
    average_s: float | None
    tree_version: int | None
    tree_warning: str | None


# Each LATERAL takes a few rows from the end of an index, however long the job's history is.
_SQL = """
    SELECT job.id, latest.id AS latest_id, version.number AS version, average.seconds::float AS average_s,
           tree.version AS tree_version, tree.warning AS tree_warning
      FROM syncjobs_syncjob job
      LEFT JOIN LATERAL (
             SELECT id FROM syncjobs_syncrecord
              WHERE job_id = job.id AND NOT dry_run ORDER BY queued_at DESC LIMIT 1) latest ON TRUE
      LEFT JOIN syncjobs_currenttree tree ON tree.job_id = job.id
      LEFT JOIN datasets_version version
             ON version.dataset_id = job.dataset_id AND version.is_current
      LEFT JOIN LATERAL (
             SELECT avg(seconds) AS seconds FROM (
                    SELECT worked_s AS seconds
                      FROM (SELECT state, worked_s, attempt, tries_until FROM syncjobs_syncrecord
                             WHERE job_id = job.id AND NOT dry_run ORDER BY queued_at DESC LIMIT %s) recent
                     WHERE state = 'succeeded' AND attempt = 1 AND tries_until IS NULL) durations) average ON TRUE
     WHERE job.id = ANY(%s)
"""


def load_facts(jobs: Sequence[SyncJob], *, latest: bool = True) -> dict[UUID, JobFacts]:
    """`latest` False: without the records, which are the most of the cost."""
    if not jobs:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [AVERAGED, [job.pk for job in jobs]])
        rows = fetch_rows(cursor, _Row)
    newest = [row.latest_id for row in rows if row.latest_id is not None]
    records = SyncRecord.objects.in_bulk(newest) if latest else {}
    return {
        row.id: JobFacts(
            latest=records.get(row.latest_id) if row.latest_id else None,
            version=row.version,
            average_s=row.average_s,
            tree_version=row.tree_version,
            tree_warning=row.tree_warning,
        )
        for row in rows
    }
