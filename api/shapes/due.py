"""Connectors that need a sync, as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import ConfigDict, Field

from api.shapes.answers import Told
from api.shapes.fields import Whole
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queries.records import count_of
from syncjobs.queries.syncing import ShownStatus

LIMIT = 10


LIMIT_MAX = 1_000


class DueConnector(Told):
    """A connector that needs a sync now, by the document's own names."""

    id: uuid.UUID
    workspace: str
    name: str
    type: str = Field(description="The connector's kind.")
    status: str
    autoSync: bool
    syncInterval: int = Field(description="Seconds between syncs.")
    lastSyncAt: datetime | None = Field(description="When a sync last succeeded.")
    lastAttemptAt: datetime | None = Field(description="When a sync last ended, however it ended.")
    lastSyncStatus: str = Field(description="How that attempt ended.")
    lastSyncError: str = Field(description="Of that attempt.")
    recordsFetched: int | None = Field(
        description="Rows, or files, that the latest sync read at the source; null: there was none."
    )
    recordsProcessed: int | None = Field(description="Those of them that are held now.")


class DueList(Told):
    items: list[DueConnector]
    next: None = Field(None, description="Always null: the rest comes when these are served.")


class HookIn(Told):
    model_config = ConfigDict(extra="forbid")

    limit: Whole = Field(default=LIMIT, ge=1, le=LIMIT_MAX, description="Connectors at most.")


class QueuedSync(Told):
    id: uuid.UUID = Field(description="The record's.")
    workspace: str
    connector: str
    job: str


class HookOut(Told):
    queued: int = Field(description="How many connectors got a record.")
    records: list[QueuedSync]


def tell_due(job: SyncJob, latest: SyncRecord | None, status: ShownStatus) -> DueConnector:
    """`latest` is the last record of the job that has ended; `status` its connector's."""
    connector = job.get_connector()  # whose auto-sync is due
    fetched, failed = (None, 0) if latest is None else count_of(latest)
    return DueConnector(
        recordsFetched=fetched,
        recordsProcessed=None if fetched is None else fetched - failed,
        id=connector.pk,
        workspace=job.workspace.name,
        name=connector.name,
        type=connector.kind,
        status=status.upper(),
        autoSync=connector.auto_sync,
        syncInterval=connector.sync_interval_s,
        lastSyncAt=connector.last_sync_at,
        lastAttemptAt=connector.last_attempt_at,
        lastSyncStatus=connector.last_sync_status,
        lastSyncError=connector.last_sync_error,
    )
