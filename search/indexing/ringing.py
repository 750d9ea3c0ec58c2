"""Which indexes the queue is to look at now: each gets a message, which may be lost or doubled without harm."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db import connection

RING_AGAIN_S = 20  # a message that nobody answered is sent once more

_TAKE = """
WITH due AS (
    SELECT dataset_id FROM search_datasetindex
     WHERE (state IN ('catching_up', 'blocked') OR emptying)
       AND (not_before IS NULL OR not_before <= now())
       AND (leased_until IS NULL OR leased_until < now())
       AND (rung_at IS NULL OR rung_at < now() - make_interval(secs => %(again_s)s))
     ORDER BY rung_at NULLS FIRST, dataset_id LIMIT %(most)s
       FOR NO KEY UPDATE SKIP LOCKED)
UPDATE search_datasetindex i SET rung_at = now() FROM due WHERE i.dataset_id = due.dataset_id
RETURNING i.dataset_id
"""
_FORGET = """
UPDATE search_datasetindex SET rung_at = NULL WHERE dataset_id IN (
    SELECT dataset_id FROM search_datasetindex WHERE dataset_id = ANY(%s) FOR NO KEY UPDATE SKIP LOCKED)
"""


def take_due_indexes(most: int = 50) -> list[uuid.UUID]:
    """Datasets whose index is behind, and on which nobody works or was asked to lately."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"again_s": RING_AGAIN_S, "most": most})
        return [dataset_id for (dataset_id,) in cursor.fetchall()]


def forget_rung_indexes(dataset_ids: Sequence[uuid.UUID]) -> None:
    """The messages did not go out, or came at a bad time: they are sent again."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [list(dataset_ids)])
