"""Which streams are to be delivered now: each gets a message, which may be lost or doubled without harm."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import connection

RING_AGAIN_S = 20  # a message that nobody answered is sent once more

_TAKE = """
WITH due AS (
    SELECT t.stream_id
      FROM outbox_streamtail t
      JOIN outbox_streamhead h ON h.stream_id = t.stream_id
      JOIN outbox_stream s ON s.id = t.stream_id
      JOIN connectors_connector c ON c.id = s.client_id
     WHERE s.state = 'running' AND c.status = 'active' AND h.next_seq - 1 > t.done_seq
       AND (t.not_before IS NULL OR t.not_before <= now())
       AND (t.lease_expires_at IS NULL OR t.lease_expires_at < now())
       AND (t.rung_at IS NULL OR t.rung_at < now() - make_interval(secs => %(again_s)s))
     ORDER BY t.rung_at NULLS FIRST, t.stream_id LIMIT %(most)s
       FOR UPDATE OF t SKIP LOCKED)
UPDATE outbox_streamtail t SET rung_at = now() FROM due WHERE t.stream_id = due.stream_id
RETURNING t.stream_id
"""
_FORGET = """
UPDATE outbox_streamtail SET rung_at = NULL WHERE stream_id IN (
    SELECT stream_id FROM outbox_streamtail WHERE stream_id = ANY(%s) FOR NO KEY UPDATE SKIP LOCKED)
"""


def take_due_streams(most: int = 200) -> list[uuid.UUID]:
    """Streams that have readings to send, and that nobody delivers or was asked to lately."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"again_s": RING_AGAIN_S, "most": most})
        return [stream_id for (stream_id,) in cursor.fetchall()]


def forget_rung_streams(stream_ids: Sequence[uuid.UUID]) -> None:
    """The messages did not go out."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [list(stream_ids)])
