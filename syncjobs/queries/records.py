"""Sync records of a workspace, with the columns that a surface shows: the rest is for their worker, and is long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from syncjobs.core.states import OPEN, State
from syncjobs.models import SyncJob, SyncRecord
from workspaces.models import Workspace


def records_of(workspace: Workspace, columns: Iterable[str]) -> QuerySet[SyncRecord]:
    """Each with the names of its job and connector."""
    return (
        SyncRecord.objects.filter(workspace=workspace)
        .select_related("job", "connector")
        .only("job__name", "connector__name", "backfill_id", *columns)
    )


def lines_of(workspace: Workspace, columns: Iterable[str]) -> QuerySet[SyncRecord, Any]:
    """Reads records for lists: a named tuple costs a third of an instance with its job and connector."""
    return SyncRecord.objects.filter(workspace=workspace).values_list(
        "pk", *columns, "job_id", "connector_id", "backfill_id", "job__name", "connector__name",
        named=True,
    )  # fmt: skip


def find_current_and_latest(
    job: SyncJob, columns: Iterable[str]
) -> tuple[SyncRecord | None, SyncRecord | None]:
    """What the job does now, what runs before what waits, and what was queued last; no dry runs."""
    rows = records_of(job.workspace, columns).filter(job=job, dry_run=False)
    current = sorted(rows.filter(state__in=OPEN), key=lambda record: record.state != State.RUNNING)
    return current[0] if current else None, rows.order_by("-queued_at").first()


def reread(record: SyncRecord) -> SyncRecord:
    """Reads a record as it is now, with its job and connector."""
    return SyncRecord.objects.select_related("job", "connector").get(pk=record.pk)
