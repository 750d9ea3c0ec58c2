"""How long events are kept.

An event of a record stays as long as its record does, and goes with it. What other subjects have told goes by
its age: after KEPT_DAYS, when every cursor has passed it. A consumer that reads no more must not hold the log for
ever: HELD_DAYS later the events go all the same, and the log file names the cursor that missed them.
"""

from __future__ import annotations

import structlog
from django.db import connection, transaction

from events.models import CursorPlace

log = structlog.get_logger(__name__)

KEPT_DAYS = 90
HELD_DAYS = 7  # longer, for cursors that have not passed them
AT_ONCE = 5_000

_DROP = """
WITH old AS (
    SELECT id FROM events_syncevent
     WHERE record_id IS NULL AND at < now() - make_interval(days => %(kept)s)
       AND (at < now() - make_interval(days => %(kept)s + %(held)s)
            OR id <= ALL (SELECT passed_id FROM events_cursorplace))
     ORDER BY at LIMIT %(most)s)
DELETE FROM events_syncevent e USING old WHERE e.id = old.id RETURNING e.id
"""


def drop_old_events(*, most: int = AT_ONCE) -> int:
    """Their count; at most so many, the oldest first."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DROP, {"kept": KEPT_DAYS, "held": HELD_DAYS, "most": most})
        dropped = [event_id for (event_id,) in cursor.fetchall()]
    if dropped:
        for place in CursorPlace.objects.filter(passed_id__lt=max(dropped)):
            log.error("events.missed", cursor=place.name, passed=place.passed_id)
    return len(dropped)
