"""Releases a held record: the guards are waived for this record only."""

from __future__ import annotations

import uuid

from syncjobs.core.states import Event
from syncjobs.records.transition import move


def release(record_id: uuid.UUID, *, by: str) -> bool:
    """Queues a held record again; False where it was cancelled meanwhile. Raises IllegalMove."""
    moved = move(
        record_id,
        Event.RELEASED,
        reason=f"released by {by}",
        changes={"guards_waived": True, "verdict": "released"},
    )
    return moved is not None
