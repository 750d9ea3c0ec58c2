"""Cancels a record: at once if nobody works on it, else through its worker's next heartbeat."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.db.models.functions import Coalesce, Now

from syncjobs.core.states import FINAL, Event, State
from syncjobs.models import SyncRecord
from syncjobs.records.transition import move


def cancel(record_id: uuid.UUID, *, by: str) -> bool:
    """Asks for the end of a record; False where it has ended already."""
    with transaction.atomic():
        record = SyncRecord.objects.select_for_update(no_key=True).filter(pk=record_id).first()
        if record is None or record.state in FINAL:
            return False
        if record.state == State.RUNNING:
            SyncRecord.objects.filter(pk=record_id).update(
                cancel_asked_at=Coalesce("cancel_asked_at", Now()), cancel_asked_by=by
            )
            return True
        return move(record_id, Event.CANCELLED, reason=f"cancelled by {by}") is not None
