"""Writes what queued records wait for that no bell is rung for: a limit, a host, or the running record of their job.

A claim says so of the record that it turns away. Whoever is not rung for is not claimed, and would go on saying what
he waited for before.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from database.rows import fetch_rows
from syncjobs.claims.claiming import find_obstacle_of
from syncjobs.claims.demand import FULL, READY, WAITING, words_of_limits
from syncjobs.claims.limiting import TWIN

_PAIRS_AT_ONCE = 50
_LOOKED_AT = 5_000  # of each workspace

_UNTOLD = """
r.state = 'queued' AND (r.not_before IS NULL OR r.not_before <= now())
       AND (r.waiting_for = 'a worker' OR starts_with(r.waiting_for, 'its next attempt'))
"""
_TELL_TWINS = f"""
UPDATE syncjobs_syncrecord r SET waiting_for = %(words)s
  FROM (SELECT r.id FROM syncjobs_syncrecord r
          JOIN syncjobs_syncrecord twin ON twin.job_id = r.job_id AND twin.state = 'running'
         WHERE {_UNTOLD} LIMIT %(most)s FOR NO KEY UPDATE OF r SKIP LOCKED) untold
 WHERE r.id = untold.id
"""  # noqa: S608 — the part above
# One record for each pair of workspace and connector: the same stops them all.
_FIND = f"""
WITH RECURSIVE {WAITING}, {FULL}
SELECT DISTINCT ON (r.workspace_id, r.connector_id) r.id, r.workspace_id, r.connector_id
  FROM free CROSS JOIN LATERAL (
    SELECT r.*, {READY} AS ready FROM syncjobs_syncrecord r
     WHERE r.workspace_id = free.workspace_id AND {_UNTOLD}
     ORDER BY coalesce(r.not_before, r.queued_at) LIMIT %(looked_at)s) r
 WHERE (NOT r.ready OR free.places <= 0) AND r.job_id <> ALL (ARRAY(SELECT job_id FROM running))
 LIMIT %(pairs)s
"""  # noqa: S608 — the parts above
_TELL = f"""
UPDATE syncjobs_syncrecord r SET waiting_for = %(words)s, not_before = %(until)s
  FROM (SELECT r.id FROM syncjobs_syncrecord r
         WHERE r.workspace_id = %(workspace)s AND r.connector_id IS NOT DISTINCT FROM %(connector)s AND {_UNTOLD}
         LIMIT %(most)s FOR NO KEY UPDATE OF r SKIP LOCKED) untold
 WHERE r.id = untold.id
"""  # noqa: S608 — the part above


@dataclass(frozen=True, slots=True)
class _Pair:
    id: uuid.UUID  # of a record that waits
    workspace_id: uuid.UUID
    connector_id: uuid.UUID | None


def tell_what_they_wait_for() -> int:
    """How many records say something else now."""
    with connection.cursor() as cursor:
        cursor.execute(_TELL_TWINS, {"words": TWIN, "most": _LOOKED_AT})
        told: int = cursor.rowcount
        wanted = {"looked_at": _LOOKED_AT, "pairs": _PAIRS_AT_ONCE}
        cursor.execute(_FIND, wanted | words_of_limits())
        pairs = fetch_rows(cursor, _Pair)
    return told + sum(_tell(pair) for pair in pairs)


@transaction.atomic
def _tell(pair: _Pair) -> int:
    obstacle = find_obstacle_of(pair.id)
    if obstacle is None:
        return 0
    words: dict[str, Any] = {
        "words": obstacle.words[:200],
        "until": obstacle.until,
        "workspace": pair.workspace_id,
        "connector": pair.connector_id,
        "most": _LOOKED_AT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TELL, words)
        told: int = cursor.rowcount
    return told
