"""What is active: of a job, which its overlap policy looks at; and in a workspace that syncs one thing at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from database.rows import fetch_rows
from syncjobs.core.states import ACTIVE, OPEN, State
from syncjobs.models import SyncRecord


def _list_in_sql(states: Iterable[State]) -> str:
    """Writes the states into the text of a statement, never as a parameter: only so does the planner see which partial index serves."""
    return ", ".join(f"'{state}'" for state in sorted(states))


IN_ACTIVE = f"IN ({_list_in_sql(ACTIVE)})"
IN_OPEN = f"IN ({_list_in_sql(OPEN)})"

# A job has one record that waits and one that runs, plans, backfills and re-drives apart. Each part is one look at an index
# for each job, however long the job's history is.
_WAITING_OF_JOBS = """
SELECT job_id, id AS record_id, state FROM syncjobs_syncrecord
 WHERE job_id = ANY(%(jobs)s) AND state = 'queued' AND NOT dry_run AND applies_id IS NULL AND backfill_id IS NULL
   AND trigger <> 'redrive'
"""
_OF_JOBS = f"""
SELECT job_id, id AS record_id, state FROM syncjobs_syncrecord
 WHERE job_id = ANY(%(jobs)s) AND state = 'running' AND NOT dry_run AND backfill_id IS NULL
UNION ALL {_WAITING_OF_JOBS}
"""  # noqa: S608 — the part above


@dataclass(frozen=True, slots=True)
class ActiveRecord:
    job_id: uuid.UUID
    record_id: uuid.UUID
    state: str  # running or queued


def find_active_of_jobs(job_ids: Sequence[uuid.UUID]) -> list[ActiveRecord]:
    """What runs and what waits of these jobs, the running ones first; no dry runs, no backfills."""
    return sorted(_ask(_OF_JOBS, job_ids), key=lambda each: each.state != State.RUNNING)


def find_waiting_of_jobs(job_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """The record that waits, by job."""
    return {each.job_id: each.record_id for each in _ask(_WAITING_OF_JOBS, job_ids)}


def active_in(workspace_id: uuid.UUID) -> QuerySet[SyncRecord]:
    """What works in a workspace, or is about to, the running ones first: a record that waits for its retry or its
    host keeps nobody out, nor does a dry run."""
    return (
        SyncRecord.objects.filter(workspace_id=workspace_id)
        .filter(Q(state=State.RUNNING) | Q(state=State.QUEUED, not_before=None))
        .order_by("-state", "queued_at")
    )


def _ask(statement: str, job_ids: Sequence[uuid.UUID]) -> list[ActiveRecord]:
    if not job_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, {"jobs": list(job_ids)})
        return fetch_rows(cursor, ActiveRecord)
