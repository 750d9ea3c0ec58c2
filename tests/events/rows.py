"""Events for tests, written by the one writer or by a session that commits later."""

from __future__ import annotations

import uuid
from typing import Any

from events.models import SyncEvent
from events.writing import NewEvent, write_events

WORKSPACE = uuid.UUID(int=1)  # is no checked reference


def write(*names: str) -> None:
    """About a stream that nobody has made."""
    write_events(
        [NewEvent(event=name, workspace_id=WORKSPACE, stream_id=uuid.UUID(int=2)) for name in names]
    )


def write_in(session: Any, name: str) -> None:
    """About the installation, in a session's own transaction."""
    session.execute(
        "INSERT INTO events_syncevent (event, from_state, to_state, token, reason, data)"
        " VALUES (%s, '', '', 0, '', '{}')",
        [name],
    )


def names_of_all() -> list[str]:
    return list(SyncEvent.objects.order_by("pk").values_list("event", flat=True))
