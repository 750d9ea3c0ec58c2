"""A workspace at a glance, as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal, TypeVar

from django.conf import settings
from django.db.models import QuerySet
from pydantic import Field

from api.shapes.answers import Told
from api.shapes.records import RecordOut
from connectors.models import Connector
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.queries.overview import Overview
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
    started_at: datetime | None
    heartbeat_at: datetime | None
    expected_duration_s: float | None


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


class Configuration(Told):
    """The installation's settings, by the names that they have in the environment."""

    SYNC_FREQUENCY: str
    SYNC_TIME: str
    MAX_FILE_SIZE_MB: int | None
    BATCH_SIZE: int
    SUPPORTED_EXTENSIONS: list[str]
    MAX_RETRIES: int
    SYNC_CONCURRENCY: int
    SYNC_MAX_PER_HOST: int
    SYNC_BASE_TIMEOUT_SECONDS: float
    SYNC_PER_FILE_TIMEOUT_SECONDS: float
    SYNC_MIN_TIMEOUT_SECONDS: float
    SYNC_MAX_TIMEOUT_SECONDS: float
    SYNC_HEARTBEAT_INTERVAL_SECONDS: float
    SYNC_LEASE_SECONDS: float
    SYNC_CLEANUP_INTERVAL_SECONDS: float
    SYNC_STALL_SECONDS: float


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
    """An active connector."""

    id: uuid.UUID
    name: str
    kind: str
    host: str
    port: int
    status: str
    auto_sync: bool
    sync_interval_s: int
    last_sync_at: datetime | None = Field(description="When a sync last succeeded.")
    last_sync_status: str
    last_sync_error: str


def tell_connection(row: Connector) -> ConnectionOut:
    return ConnectionOut(
        id=row.pk,
        name=row.name,
        kind=row.kind,
        host=row.host,
        port=row.port,
        status=row.status,
        auto_sync=row.auto_sync,
        sync_interval_s=row.sync_interval_s,
        last_sync_at=row.last_sync_at,
        last_sync_status=row.last_sync_status,
        last_sync_error=row.last_sync_error,
    )


class ConnectionPage(Told):
    items: list[ConnectionOut]
    next: str | None


class HistoryItem(RecordOut):
    duration_s: float | None = Field(description="From the first claim to the end.")


class HistoryPage(Told):
    items: list[HistoryItem]
    next: str | None


def duration_s_of(record: Any) -> float | None:
    began, ended = record.started_at, record.finished_at
    if began is None or ended is None:
        return None
    seconds: float = (ended - began).total_seconds()
    return seconds


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
    needed = dict.fromkeys([*plain, "started_at", "finished_at", *names.values()])
    lines = records.values_list(*needed, named=True)
    return [
        shape(
            **line._asdict()
            | {name: getattr(line, column) for name, column in names.items()}
            | {"duration_s": duration_s_of(line)}
        )
        for line in lines
    ]


def tell_configuration() -> Configuration:
    """Names the settings one by one, so that no secret comes along by being added."""
    of = settings.SYNC
    return Configuration(
        SYNC_FREQUENCY=of.sync_frequency,
        SYNC_TIME=of.sync_time,
        MAX_FILE_SIZE_MB=of.max_file_size_mb,
        BATCH_SIZE=of.batch_size,
        SUPPORTED_EXTENSIONS=list(of.supported_extensions),
        MAX_RETRIES=of.max_retries,
        SYNC_CONCURRENCY=of.sync_concurrency,
        SYNC_MAX_PER_HOST=of.max_per_host,
        SYNC_BASE_TIMEOUT_SECONDS=of.base_timeout_s,
        SYNC_PER_FILE_TIMEOUT_SECONDS=of.per_file_timeout_s,
        SYNC_MIN_TIMEOUT_SECONDS=of.min_timeout_s,
        SYNC_MAX_TIMEOUT_SECONDS=of.max_timeout_s,
        SYNC_HEARTBEAT_INTERVAL_SECONDS=of.heartbeat_interval_s,
        SYNC_LEASE_SECONDS=of.lease_s,
        SYNC_CLEANUP_INTERVAL_SECONDS=of.cleanup_interval_s,
        SYNC_STALL_SECONDS=of.stall_s,
    )
