"""The ring of slots: what is sent and old goes by emptying a whole slot, never row by row.

Each slot takes what comes for a day, or 20,000,000 readings; then the next one is opened. The oldest ones are emptied
as soon as all in them was sent more than seven days ago: each slot that holds keys is one more to look into for each
reading that comes. Where all slots hold something, the open one goes on growing.
"""

from __future__ import annotations

import structlog
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from outbox.intake import RING_LOCK
from outbox.models import SLOTS, Ring

log = structlog.get_logger(__name__)

TURN_AFTER_S = 86_400
TURN_READINGS = 20_000_000
KEEP_S = 7 * 86_400

_IS_TIME = """
SELECT r.since < now() - make_interval(secs => %(after_s)s)
       OR (SELECT coalesce(sum(seq_to - seq_from + 1), 0) FROM outbox_segment_{slot}) >= %(most)s
  FROM outbox_ring r
"""
_IS_HELD = """
SELECT EXISTS (SELECT FROM outbox_segment_{slot} g
                 JOIN outbox_stream s ON s.number = g.stream
                 JOIN outbox_streamtail t ON t.stream_id = s.id
                WHERE g.seq_to > t.done_seq OR g.at > now() - make_interval(secs => %s))
"""


def turn_ring(*, after_s: float = TURN_AFTER_S, keep_s: float = KEEP_S) -> int | None:
    """Empties what is old. The slot that takes what comes from now on; None where it is not time, or no slot is free.

    Waits at most two seconds for those who write, and comes again at the next call.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RING_LOCK])
            ring, _ = Ring.objects.get_or_create(pk=1)
            _empty_oldest(cursor, ring, keep_s)
            following = _open_next(cursor, ring, after_s)
            if following is not None:
                _empty_oldest(cursor, ring, keep_s)
            return following
    except OperationalError as exc:
        log.info("ring.busy", error=str(exc).splitlines()[0])
        return None


def _open_next(cursor: CursorWrapper, ring: Ring, after_s: float) -> int | None:
    cursor.execute(_IS_TIME.format(slot=ring.slot), {"after_s": after_s, "most": TURN_READINGS})
    if not cursor.fetchone()[0]:
        return None
    following = (ring.slot + 1) % SLOTS
    if following == ring.oldest:
        log.warning("ring.held", slot=following)
        return None
    cursor.execute("UPDATE outbox_ring SET slot = %s, since = now()", [following])
    ring.slot = following
    return following


def _empty_oldest(cursor: CursorWrapper, ring: Ring, keep_s: float) -> None:
    """The open slot stays as it is."""
    while ring.oldest != ring.slot:
        cursor.execute(_IS_HELD.format(slot=ring.oldest), [keep_s])
        if cursor.fetchone()[0]:
            return
        _empty(cursor, ring.oldest)
        ring.oldest = (ring.oldest + 1) % SLOTS
        cursor.execute("UPDATE outbox_ring SET oldest = %s", [ring.oldest])


def _empty(cursor: CursorWrapper, slot: int) -> None:
    cursor.execute(f"TRUNCATE outbox_segment_{slot}, outbox_reading_key_{slot}")
