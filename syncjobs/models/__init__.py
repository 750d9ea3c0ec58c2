"""Sync jobs, the records of their runs, and what happened to each."""

from __future__ import annotations

from syncjobs.models.jobs import Dependency, SyncJob, default_max_attempts
from syncjobs.models.records import (
    ASKED,
    PARALLEL_MAX,
    Backfill,
    BackfillState,
    ItemAction,
    PlannedFile,
    QuarantinedRow,
    QuarantineState,
    SyncItem,
    SyncRecord,
    Trigger,
)
from syncjobs.models.signs import (
    DURATION_BOUNDS_S,
    EventTotal,
    HourTotal,
    ProcessSign,
    Pulse,
)
from syncjobs.models.trees import CurrentTree
from syncjobs.order.files import AfterPublish
from syncjobs.order.shared import OnDelete, SyncMode

__all__ = [
    "ASKED",
    "DURATION_BOUNDS_S",
    "PARALLEL_MAX",
    "AfterPublish",
    "Backfill",
    "BackfillState",
    "CurrentTree",
    "Dependency",
    "EventTotal",
    "HourTotal",
    "ItemAction",
    "OnDelete",
    "PlannedFile",
    "ProcessSign",
    "Pulse",
    "QuarantineState",
    "QuarantinedRow",
    "SyncItem",
    "SyncJob",
    "SyncMode",
    "SyncRecord",
    "Trigger",
    "default_max_attempts",
]
