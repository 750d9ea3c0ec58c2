"""Sync records of a workspace, with the columns that a surface shows: the rest is for their worker, and is long."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from database.rows import fetch_rows
from syncjobs.core.states import FINAL, OPEN, State
from syncjobs.models import SyncJob, SyncRecord
from workspaces.models import Workspace

# By hand, because agents ask it again and again: to make it from a queryset costs more than to run it.
_CURRENT_AND_LATEST = """
SELECT job.id AS job,
       (SELECT id FROM syncjobs_syncrecord
         WHERE job_id = job.id AND NOT dry_run AND state = ANY(%s)
         ORDER BY state <> %s, queued_at LIMIT 1) AS current,
       (SELECT id FROM syncjobs_syncrecord
         WHERE job_id = job.id AND NOT dry_run ORDER BY queued_at DESC LIMIT 1) AS latest
  FROM syncjobs_syncjob job WHERE job.workspace_id = %s AND job.id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class _Standing:
    job: uuid.UUID
    current: uuid.UUID | None
    latest: uuid.UUID | None


def syncs_and_plans_of(workspace: Workspace, columns: Iterable[str]) -> QuerySet[SyncRecord]:
    """Each with the names of its job and of its connector or dataset, for who has its id."""
    return _with_names(SyncRecord.either.filter(workspace=workspace), columns)


def _with_names(rows: QuerySet[SyncRecord], columns: Iterable[str]) -> QuerySet[SyncRecord]:
    return rows.select_related("job", "connector", "source_dataset").only(
        "job__name", "connector__name", "source_dataset__name", "backfill_id", *columns
    )


def lines_of(
    workspace: Workspace, columns: Iterable[str], *, plans: bool = False
) -> QuerySet[SyncRecord, Any]:
    """Reads syncs, or else dry runs, for lists: a named tuple costs a third of an instance with its job and
    connector."""
    rows = SyncRecord.plans if plans else SyncRecord.objects
    return rows.filter(workspace=workspace).values_list(
        "pk", *columns, "job_id", "connector_id", "backfill_id", "job__name", "connector__name",
        "source_dataset__name", named=True,
    )  # fmt: skip


def find_current_and_latest(
    job: SyncJob, columns: Iterable[str]
) -> tuple[SyncRecord | None, SyncRecord | None]:
    """What the job does now, what runs before what waits, and what was queued last; no dry runs."""
    rows = _with_names(SyncRecord.objects.filter(job=job), columns)
    current = sorted(rows.filter(state__in=OPEN), key=lambda record: record.state != State.RUNNING)
    return current[0] if current else None, rows.order_by("-queued_at").first()


def load_current_and_latest(
    workspace: Workspace, job_ids: Collection[uuid.UUID], columns: Iterable[str]
) -> dict[uuid.UUID, tuple[Any, Any]]:
    """The same of many jobs, as lines of `lines_of`, in two queries."""
    with connection.cursor() as cursor:
        states = [state.value for state in OPEN]
        cursor.execute(
            _CURRENT_AND_LATEST, [states, State.RUNNING.value, workspace.pk, list(job_ids)]
        )
        pairs = {row.job: (row.current, row.latest) for row in fetch_rows(cursor, _Standing)}
    wanted = {each for pair in pairs.values() for each in pair if each is not None}
    found = {line.pk: line for line in lines_of(workspace, columns).filter(pk__in=wanted)}
    return {
        job_id: (found.get(current), found.get(latest))
        for job_id, (current, latest) in pairs.items()
    }


def find_latest_ended(job_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, SyncRecord]:
    """The last record of each job that has ended, by job; no dry runs."""
    columns = [f"{what}_{how}" for what, hows in _COUNTED.items() for how in hows]
    rows = SyncRecord.objects.filter(job__in=job_ids, state__in=FINAL)
    latest = rows.order_by("job_id", "-queued_at").distinct("job_id").only("job_id", *columns)
    return {record.job_id: record for record in latest}


def count_of(record: SyncRecord) -> tuple[int, int]:
    """How many rows, or files, were read at the source, and how many of these could not be kept."""
    if record.rows_read is not None:
        return record.rows_read, record.rows_failed or 0
    read = record.files_added + record.files_changed + record.files_unchanged + record.files_failed
    return read, record.files_failed


_COUNTED = {
    "files": ("added", "changed", "unchanged", "failed"),
    "rows": ("read", "failed"),
}


def reread(record: SyncRecord) -> SyncRecord:
    """Reads a record as it is now, with its job and connector."""
    rows = SyncRecord.either.select_related("job", "connector", "source_dataset")
    return rows.get(pk=record.pk)
