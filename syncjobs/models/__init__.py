"""Sync jobs, the records of their runs, and what happened to each."""

from __future__ import annotations

from syncjobs.models.jobs import (
    AfterPublish,
    Dependency,
    OnDelete,
    SyncJob,
    SyncMode,
    default_max_attempts,
)
from syncjobs.models.records import (
    PARALLEL_MAX,
    Backfill,
    BackfillState,
    ItemAction,
    SyncItem,
    SyncRecord,
    Trigger,
)
from syncjobs.models.signs import (
    DURATION_BOUNDS_S,
    EventTotal,
    ProcessSign,
    Pulse,
)

__all__ = [
    "DURATION_BOUNDS_S",
    "PARALLEL_MAX",
    "AfterPublish",
    "Backfill",
    "BackfillState",
    "Dependency",
    "EventTotal",
    "ItemAction",
    "OnDelete",
    "ProcessSign",
    "Pulse",
    "SyncItem",
    "SyncJob",
    "SyncMode",
    "SyncRecord",
    "Trigger",
    "default_max_attempts",
]
