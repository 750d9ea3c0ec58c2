"""Ends records that have waited for their next try until their time was over."""

from __future__ import annotations

from django.db.models.functions import Now

from syncjobs.core.states import Event, State
from syncjobs.models import SyncRecord
from syncjobs.records.transition import move
from syncjobs.works.rows.outcome import has_published

_AT_ONCE = 500


def give_up() -> int:
    """Ends them as failed, each with its last error, or as partial where tables were published; their count. Comes before the fires that are due: a new record
    does their work."""
    waiting = SyncRecord.either.filter(state=State.QUEUED, tries_until__lte=Now())
    hopeless = waiting.exclude(
        error_code=""
    )  # others wait for a worker, and have a try before them
    ended = 0
    for record in hopeless.only("error_code", "error", "tables")[:_AT_ONCE]:
        told = {"error_code": record.error_code, "error": record.error}
        partly = has_published(record.tables)
        if move(
            record.pk,
            Event.GAVE_UP_PARTLY if partly else Event.GAVE_UP,
            reason=f"{record.error} (its time is over)",
            changes=told | {"verdict": "partial" if partly else record.error_code},
        ):
            ended += 1
    return ended
