"""The ring of slots: what is sent and old goes by emptying a whole slot, never row by row.

Each slot takes what comes for a day, or 20,000,000 readings. Then the next one is emptied, where all in it was sent
more than seven days ago, and opened. Where it still holds something, the open slot goes on growing.
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
    """The slot that takes what comes from now on; None where it is not time, or the next one is still held.

    Waits at most two seconds for those who write, and comes again at the next call.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RING_LOCK])
            ring, _ = Ring.objects.get_or_create(pk=1)
            cursor.execute(
                _IS_TIME.format(slot=ring.slot), {"after_s": after_s, "most": TURN_READINGS}
            )
            if not cursor.fetchone()[0]:
                return None
            following = (ring.slot + 1) % SLOTS
            cursor.execute(_IS_HELD.format(slot=following), [keep_s])
            if cursor.fetchone()[0]:
                log.warning("ring.held", slot=following)
                return None
            _empty(cursor, following)
            cursor.execute("UPDATE outbox_ring SET slot = %s, since = now()", [following])
            return following
    except OperationalError as exc:
        log.info("ring.busy", error=str(exc).splitlines()[0])
        return None


def _empty(cursor: CursorWrapper, slot: int) -> None:
    cursor.execute(f"TRUNCATE outbox_segment_{slot}, outbox_reading_key_{slot}")
