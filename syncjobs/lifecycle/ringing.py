"""Which queued records a bell is to be rung for.

A bell is a hint and may be lost: a record that was rung for and not claimed within 30 s is taken
again. Ringing moves nothing but `rung_at`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import connection

RING_AGAIN_S = 30

_TAKE = """
UPDATE syncjobs_syncrecord SET rung_at = now() WHERE id IN (
  SELECT id FROM syncjobs_syncrecord q
   WHERE state = 'queued' AND (not_before IS NULL OR not_before <= now())
     AND (rung_at IS NULL OR rung_at < now() - make_interval(secs => %s))
     AND NOT EXISTS (SELECT FROM syncjobs_syncrecord r
                      WHERE r.job_id = q.job_id AND r.state = 'running')
   ORDER BY not_before NULLS FIRST, queued_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id
"""


def take_unrung(limit: int = 200, *, ring_again_s: float = RING_AGAIN_S) -> list[uuid.UUID]:
    """Ids to ring for now, the longest waiting first; each is taken by one caller only."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [ring_again_s, limit])
        return [row[0] for row in cursor.fetchall()]


def forget_rung(record_ids: Sequence[uuid.UUID]) -> None:
    """Their bells could not be rung: the next tick tries again, where it would wait for an answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE syncjobs_syncrecord SET rung_at = NULL WHERE state = 'queued' AND id = ANY(%s)",
            [list(record_ids)],
        )
