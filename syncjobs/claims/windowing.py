"""Decides whether a job may work now, by its own windows and blackouts and those of its workspace.

A queued record waits for the opening; a running one is parked at the end, and the same record goes on in the next
window with what it has fetched. Dry runs are not bound.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from farends.budget import Obstacle
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from timing.windows import InvalidWindow, find_change, is_open, parse_calendar

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


_DUE = f"""
SELECT id, calendars FROM (
  SELECT r.id, {CALENDARS} AS calendars
    FROM syncjobs_syncrecord r
    JOIN syncjobs_syncjob j ON j.id = r.job_id
    JOIN workspaces_workspace w ON w.id = r.workspace_id
   WHERE r.workspace_id = %s AND r.state = 'queued' AND (r.not_before IS NULL OR r.not_before <= now())
   ORDER BY coalesce(r.not_before, r.queued_at)
   LIMIT %s FOR NO KEY UPDATE OF r SKIP LOCKED) due
 WHERE calendars IS NOT NULL
"""  # noqa: S608 — the part above
_WAIT = """
UPDATE syncjobs_syncrecord r SET waiting_for = u.words, not_before = u.until
  FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS u(id, words, until) WHERE r.id = u.id
"""
_AT_ONCE = 2_000


def wait_for_openings(workspace_id: uuid.UUID, now: datetime) -> int:
    """Lets queued records of a workspace wait for the windows that are closed, many at once: nobody has to be
    woken for each. Returns their count."""
    known: dict[str, Obstacle | None] = {}
    closed: list[tuple[uuid.UUID, str, datetime | None]] = []
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [workspace_id, _AT_ONCE])
        for record_id, calendars in cursor.fetchall():
            if calendars not in known:
                known[calendars] = find_closed(calendars, now)
            if (obstacle := known[calendars]) is not None:
                closed.append((record_id, obstacle.words[:200], obstacle.until))
        if closed:
            cursor.execute(_WAIT, [list(column) for column in zip(*closed, strict=True)])
    return len(closed)


def reopen(records: QuerySet[SyncRecord]) -> int:
    """Records that wait for a window look again, because it was changed; their count. One that somebody moves at this
    moment is passed over: the caller has the job, and whoever moves a record comes for the job next."""
    waiting = records.filter(state=State.QUEUED, waiting_for__startswith=WINDOW)
    locked = waiting.select_for_update(no_key=True, skip_locked=True, of=("self",))
    held = list(locked.values_list("pk", flat=True))
    return SyncRecord.either.filter(pk__in=held).update(
        not_before=None, rung_at=None, waiting_for="a worker"
    )
