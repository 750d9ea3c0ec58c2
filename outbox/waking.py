"""A client system that is back gets what waited for it, each stream after a moment of its own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import connection

WITHIN_S = 5.0

_WAKE = """
UPDATE outbox_streamtail t
   SET not_before = now() + make_interval(secs => random() * %(within_s)s), rung_at = NULL, waiting_for = ''
  FROM outbox_stream s
 WHERE s.id = t.stream_id AND s.client_id = ANY(%(clients)s) AND s.state = 'running'
   AND t.not_before > now()
"""


def wake_streams(client_ids: Sequence[uuid.UUID]) -> int:
    """Wakes streams in the caller's transaction; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_WAKE, {"clients": list(client_ids), "within_s": WITHIN_S})
        return int(cursor.rowcount)
