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


def tell_event(event: SyncEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in EventOut.model_fields}
