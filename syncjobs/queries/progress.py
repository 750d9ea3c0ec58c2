"""What the figures of a record's progress mean, for every surface alike."""

from __future__ import annotations

from typing import Any

from syncjobs.core.deadlines import calculated_timeout_s
from syncjobs.models import SyncRecord
from syncjobs.queries.rules import deadline_rule


def estimate_remaining_s(row: Any) -> float | None:
    """How long the bytes that are left take at the latest rate; None where the rate or the total is not known. `row` has
    a record's `bytes_per_s`, `total_bytes` and `bytes_done`."""
    if not row.bytes_per_s or row.total_bytes is None:
        return None
    left_s: float = max(0, row.total_bytes - row.bytes_done) / row.bytes_per_s
    return round(left_s, 1)


def find_timeout_s(record: SyncRecord) -> float:
    """The timeout of its attempt; before an attempt has measured the work, what is calculated without."""
    if record.deadline_s is not None:
        return record.deadline_s
    return calculated_timeout_s(deadline_rule(), record.job.timeout_s, record.total_files)
