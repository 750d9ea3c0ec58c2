"""A workspace at a glance, as JSON."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeVar

from django.db.models import QuerySet
from pydantic import Field

from api.shapes.answers import Told
from api.shapes.configuration import Configuration, tell_configuration
from api.shapes.records import RecordOut
from connectors.models import Connector
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.queries.overview import Overview
from syncjobs.queries.syncing import ShownStatus, name_statuses
from workspaces.models import Workspace


class RunningOut(Told):
    id: uuid.UUID
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None
    stage: str
    percentage: float
    current_file_index: int
    total_files: int | None
    bytes_transferred: int
    total_bytes: int | None = Field(description="null: not known, or not of every file.")
    bytes_done: int
    started_at: datetime | None
    heartbeat_at: datetime | None
    expected_duration_s: float | None = Field(description="null: not known yet.")
    deadline_s: float | None


class WaitingOut(Told):
    id: uuid.UUID
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None
    queued_at: datetime
    not_before: datetime | None
    waiting_for: str


class EndedOut(Told):
    id: uuid.UUID
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None
    state: State
    started_at: datetime | None
    finished_at: datetime | None
    duration_s: float | None
    files_added: int
    files_changed: int
    files_removed: int
    files_failed: int
    bytes_transferred: int
    error: str


class DueOut(Told):
    job: str
    connector: str | None = Field(description="null: it reads a dataset.")
    source_dataset: str | None
    next_run_at: datetime


class StatusOut(Told):
    """Lists hold the first 20."""

    workspace: str
    status: Literal["running", "waiting", "idle"]
    running_count: int
    queued_count: int
    held_count: int = Field(description="Stopped by a guard: a person releases or cancels them.")
    running: list[RunningOut]
    queued: list[WaitingOut]
    last_results: list[EndedOut] = Field(description="The newest first.")
    next_due: list[DueOut]
    configuration: Configuration


class ConnectionOut(Told):
    """A connector that is not paused."""

    id: uuid.UUID
    name: str
    kind: str
    host: str
    port: int
    status: ShownStatus = Field(description="`syncing` while one of its syncs runs.")
    auto_sync: bool
    sync_interval_s: int
    last_sync_at: datetime | None = Field(description="When a sync last succeeded.")
    last_attempt_at: datetime | None = Field(
        description="When a sync last ended, however it ended."
    )
    last_sync_status: str = Field(description="How that attempt ended.")
    last_sync_error: str = Field(description="Of that attempt.")


def tell_connections(rows: Sequence[Connector]) -> list[ConnectionOut]:
    statuses = name_statuses(rows)
    return [_tell_connection(row, statuses[row.pk]) for row in rows]


def _tell_connection(row: Connector, status: ShownStatus) -> ConnectionOut:
    return ConnectionOut(
        id=row.pk,
        name=row.name,
        kind=row.kind,
        host=row.host,
        port=row.port,
        status=status,
        auto_sync=row.auto_sync,
        sync_interval_s=row.sync_interval_s,
        last_sync_at=row.last_sync_at,
        last_attempt_at=row.last_attempt_at,
        last_sync_status=row.last_sync_status,
        last_sync_error=row.last_sync_error,
    )


class ConnectionPage(Told):
    items: list[ConnectionOut]
    next: str | None


class HistoryItem(RecordOut):
    duration_s: float | None = Field(
        description="How long its attempts worked. What it was held, or waited between them, is no work."
    )


class HistoryPage(Told):
    items: list[HistoryItem]
    next: str | None


Line = TypeVar("Line", bound=Told)


def tell_overview(workspace: Workspace, seen: Overview) -> StatusOut:
    """One query for each list."""
    status: Literal["running", "waiting", "idle"] = (
        "running" if seen.running_count else "waiting" if seen.waiting_count else "idle"
    )
    return StatusOut(
        workspace=workspace.name,
        status=status,
        running_count=seen.running_count,
        queued_count=seen.waiting_count,
        held_count=seen.held_count,
        running=_tell_all(seen.running, RunningOut),
        queued=_tell_all(seen.waiting, WaitingOut),
        last_results=_tell_all(seen.ended, EndedOut),
        next_due=[
            DueOut(job=job, connector=connector, source_dataset=dataset, next_run_at=at)
            for job, connector, dataset, at in seen.due_next.values_list(
                "name", "connector__name", "source_dataset__name", "next_run_at"
            )
            if at is not None
        ],
        configuration=tell_configuration(),
    )


def _tell_all(records: QuerySet[SyncRecord], shape: type[Line]) -> list[Line]:
    """Fills `shape` for each row, in one query without instances."""
    names = {name: f"{name}__name" for name in ("job", "connector", "source_dataset")}
    plain = [name for name in shape.model_fields if name not in (*names, "duration_s")]
    needed = dict.fromkeys([*plain, "worked_s", *names.values()])
    lines = records.values_list(*needed, named=True)
    return [
        shape(
            **line._asdict()
            | {name: getattr(line, column) for name, column in names.items()}
            | {"duration_s": line.worked_s}
        )
        for line in lines
    ]
