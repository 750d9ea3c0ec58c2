"""A queued record waits, unclaimed, while the store's disk has too little room.

It goes on by itself: its bell is rung again every half minute, and whoever answers looks again.
"""

from __future__ import annotations

import uuid

from django.conf import settings

from datasets.room import look_at
from syncjobs.core.states import State
from syncjobs.models import SyncRecord


def park_without_room(record_id: uuid.UUID) -> bool:
    """Whether the record has to wait, which it then says; a dry run needs no room."""
    try:
        room = look_at(settings.STORE_ROOT, min_free_bytes=settings.SYNC.min_free_bytes)
    except OSError:  # its disk went away this instant: the claim looks again
        return False
    if not room.is_short:
        return False
    parked = SyncRecord.objects.filter(pk=record_id, state=State.QUEUED, dry_run=False).update(
        waiting_for=f"room on the store's disk: {room}"
    )
    return parked == 1
