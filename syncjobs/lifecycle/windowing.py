"""Whether a job may work now: its own windows and blackouts, and those of its workspace.

A queued record waits for the opening; a running one is parked at the end, and the same record goes on in the next
window with what it has fetched. Dry runs are not bound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from connectors.budget import Obstacle
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from workspaces.windows import InvalidWindow, find_change, is_open, parse_calendar

WINDOW = "its window"  # what `waiting_for` begins with
LOOK_AGAIN = timedelta(days=1)

# Of `j`, the job, and `w`, the workspace; NULL where nothing is said, which is nearly always.
CALENDARS = """
CASE WHEN j.windows = '[]' AND j.blackouts = '[]' AND w.windows = '[]' AND w.blackouts = '[]' OR r.dry_run
     THEN NULL ELSE json_build_array(j.windows, j.blackouts, w.windows, w.blackouts)::text END
"""


def find_closed(calendars: str | None, now: datetime) -> Obstacle | None:
    """What keeps the work waiting, from the answer to CALENDARS; None where it may begin, or go on."""
    if calendars is None:
        return None
    given: Sequence[Any] = json.loads(calendars)
    try:
        known = [parse_calendar(*given[:2]), parse_calendar(*given[2:])]
    except InvalidWindow as exc:  # saved past the forms: nobody knows when it may work
        return Obstacle(f"{WINDOW}, which cannot be read: {exc}", now + LOOK_AGAIN)
    if is_open(known, now):
        return None
    opens_at = find_change(known, now)
    if opens_at is None:
        return Obstacle(f"{WINDOW}, which does not open within a year", now + LOOK_AGAIN)
    return Obstacle(WINDOW, opens_at)


def reopen(records: QuerySet[SyncRecord]) -> int:
    """Records that wait for a window look anew, because it was changed; their count."""
    return records.filter(state=State.QUEUED, waiting_for__startswith=WINDOW).update(
        not_before=None, rung_at=None, waiting_for="a worker"
    )
