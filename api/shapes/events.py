"""What happened to a record, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from events.models import SyncEvent


class EventOut(Told):
    id: int
    at: datetime
    event: str
    from_state: str
    to_state: str
    reason: str
    data: dict[str, Any] = Field(description="The evidence.")


class EventPage(Told):
    items: list[EventOut]
    next: str | None


def tell_event(event: SyncEvent) -> EventOut:
    return EventOut(
        id=event.pk,
        at=event.at,
        event=event.event,
        from_state=event.from_state,
        to_state=event.to_state,
        reason=event.reason,
        data=event.data,
    )
