"""Chooses the queued records to send a message for ("ring").

A bell is a hint and may be lost: a record that was rung for and not claimed within 30 s is taken
again. Ringing moves nothing but `rung_at`. Nor is it rung for what a limit or a host would turn away:
that test is a hint as well, the claim's own is the exact one.

Workspaces take turns: the longest waiting record of each, then the second of each, and so on, so that one
with 90,000 queued records does not keep another's single one waiting. What a workspace runs already counts
as turns that it had: so the places go to whom the shares give them (`core.limits.decide_share`), and a
record that was turned away for these is rung for again as soon as a place may be its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection

from database.rows import fetch_rows
from syncjobs.claims.demand import FULL, READY, WAITING, words_of_limits
from syncjobs.core.limits import SHARE
from syncjobs.core.watching import RING_AGAIN_S

SPARE = 16

_TAKE = f"""
WITH RECURSIVE {WAITING}, {FULL},
turns AS (
    SELECT q.id, q.due_at, q.rung_at,
           free.running + row_number() OVER (PARTITION BY free.workspace_id ORDER BY q.due_at) AS turn
      FROM free CROSS JOIN LATERAL (
        SELECT r.id, r.rung_at, coalesce(r.not_before, r.queued_at) AS due_at
          FROM syncjobs_syncrecord r
         WHERE {READY}
           AND (r.rung_at IS NULL OR r.rung_at < now() - make_interval(secs => CASE
                WHEN starts_with(r.waiting_for, '{SHARE}') THEN least(1, %(again_s)s) ELSE %(again_s)s END))
         ORDER BY coalesce(r.not_before, r.queued_at)
         -- A few more than are asked for, because others may be taking the same ones just now.
         LIMIT CASE WHEN free.places > 0
                    THEN least(%(limit)s, free.places) + greatest(0, %(spare)s - %(limit)s)
                    ELSE 0 END) q),
-- Once, and not inside of the update's condition: run again for another row, it would lock others, beyond the limit.
-- `IS TRUE` keeps the planner, whatever it believes of the queue, from reading all of it for each turn.
taken AS MATERIALIZED (
    SELECT q.id, turns.turn, turns.due_at FROM syncjobs_syncrecord q JOIN turns USING (id)
     WHERE (q.state = 'queued') IS TRUE
       AND q.rung_at IS NOT DISTINCT FROM turns.rung_at
     ORDER BY turns.turn, turns.due_at
     LIMIT CASE WHEN %(everywhere)s = 0 THEN %(limit)s
                ELSE least(%(limit)s, greatest(0, %(everywhere)s - (SELECT count(*) FROM running))) END
       FOR UPDATE OF q SKIP LOCKED)
UPDATE syncjobs_syncrecord r SET rung_at = now() FROM taken WHERE r.id = taken.id
RETURNING taken.turn, taken.due_at, r.id, (SELECT j.name FROM syncjobs_syncjob j WHERE j.id = r.job_id) AS job,
          (SELECT w.name FROM workspaces_workspace w WHERE w.id = r.workspace_id) AS workspace
"""  # noqa: S608 — the parts above


@dataclass(frozen=True, slots=True)
class Rung:
    """A record that a message is sent for, with the names by which people know it."""

    turn: int
    due_at: datetime
    id: uuid.UUID
    job: str
    workspace: str

    def __str__(self) -> str:
        return f"{self.id} of job {self.job}, workspace {self.workspace}"


def take_unrung(limit: int = 200, *, ring_again_s: float = RING_AGAIN_S) -> list[uuid.UUID]:
    return [one.id for one in take_to_ring(limit, ring_again_s=ring_again_s)]


def take_to_ring(limit: int = 200, *, ring_again_s: float = RING_AGAIN_S) -> list[Rung]:
    """Records to ring for now, the workspaces in turn, the longest waiting of each first; each is taken by
    one caller only."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "limit": limit,
                "spare": SPARE,
                "again_s": ring_again_s,
                "everywhere": settings.SYNC.batch_size,
            }
            | words_of_limits(),
        )
        taken = fetch_rows(cursor, Rung)
    return sorted(taken, key=lambda one: (one.turn, one.due_at, one.id))


# Whoever has one at this moment sees to it.
_FORGET = """
UPDATE syncjobs_syncrecord SET rung_at = NULL WHERE id IN (
    SELECT id FROM syncjobs_syncrecord WHERE id = ANY(%s) AND state = 'queued' FOR NO KEY UPDATE SKIP LOCKED)
"""


def forget_rung(record_ids: Sequence[uuid.UUID]) -> None:
    """Their bells could not be rung: the next tick tries again, where it would wait for an answer."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [list(record_ids)])
