"""The files that a record could not sync, for the record that tries these alone once more."""

from __future__ import annotations

import uuid

from syncjobs.models import ItemAction, SyncItem

FAILED_MAX = 100_000  # paths that a record keeps in memory


def count_failed_files(record_id: uuid.UUID) -> int:
    """At most one more than FAILED_MAX."""
    rows = SyncItem.objects.filter(record=record_id, action=ItemAction.FAILED).order_by()
    return rows[: FAILED_MAX + 1].count()


def list_failed_paths(record_id: uuid.UUID) -> frozenset[str]:
    """Files and folders, in stored form; `.` is the root."""
    rows = SyncItem.objects.filter(record=record_id, action=ItemAction.FAILED).order_by()
    return frozenset(rows.values_list("path", flat=True)[:FAILED_MAX])
