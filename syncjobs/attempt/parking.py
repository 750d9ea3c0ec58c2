"""Makes a record wait while the store's disk has too little room.

Below the room that must stay free, workers claim no record. Beat sends its message again every half minute, and the
worker that gets it looks again. A claimed record lists its source first. Where the plan does not fit, it goes back to the queue, and
lists again later: there may be room then, or less to fetch.
"""

from __future__ import annotations

import uuid

from django.conf import settings

from store.room import measure_room
from syncjobs.core.states import State
from syncjobs.models import SyncRecord

AGAIN_S = (15.0, 300.0)  # at the soonest, at the latest
AGAIN_RATIO = (
    10  # so that listing for nothing takes a tenth of the time at most, unless it takes over 30 s
)


def park_without_room(record_id: uuid.UUID) -> bool:
    """Whether the record has to wait, which it then says; a dry run needs no room."""
    try:
        room = measure_room(settings.STORE_ROOT, min_free_bytes=settings.SYNC.min_free_bytes)
    except OSError:  # its disk went away this instant: the claim looks again
        return False
    if not room.is_short:
        return False
    parked = SyncRecord.objects.filter(pk=record_id, state=State.QUEUED).update(
        waiting_for=f"room on the store's disk: {room}"
    )
    return parked == 1


def look_again_s(worked_s: float) -> float:
    """When a record whose plan did not fit looks again, by how long its look took."""
    soonest_s, latest_s = AGAIN_S
    return min(latest_s, max(soonest_s, AGAIN_RATIO * worked_s))
