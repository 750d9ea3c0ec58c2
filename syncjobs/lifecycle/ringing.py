"""Which queued records a bell is to be rung for.

A bell is a hint and may be lost: a record that was rung for and not claimed within 30 s is taken
again. Ringing moves nothing but `rung_at`. Nor is it rung for what a limit or a host would turn away:
that test is a hint as well, the claim's own is the exact one.

Workspaces take turns: the longest waiting record of each, then the second of each, and so on, so that one
with 90,000 queued records does not keep another's single one waiting.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.conf import settings
from django.db import connection

from connectors.budget import FAILURES_OPEN

RING_AGAIN_S = 30
SPARE = 16

_TAKE = """
WITH RECURSIVE waiting AS (  -- the workspaces that have queued records: one look at the index for each
    (SELECT workspace_id FROM syncjobs_syncrecord WHERE state = 'queued'
      ORDER BY workspace_id LIMIT 1)
  UNION ALL
    SELECT (SELECT workspace_id FROM syncjobs_syncrecord
             WHERE state = 'queued' AND workspace_id > w.workspace_id
             ORDER BY workspace_id LIMIT 1)
      FROM waiting w WHERE w.workspace_id IS NOT NULL),
running AS MATERIALIZED (
    SELECT workspace_id, connector_id, job_id, address FROM syncjobs_syncrecord
     WHERE state = 'running'),
hosts AS MATERIALIZED (
    SELECT address FROM running GROUP BY address
    HAVING %(per_host)s > 0 AND count(*) >= %(per_host)s),
budgets AS MATERIALIZED (
    SELECT b.workspace_id, b.address FROM connectors_hostbudget b
     WHERE b.opened_until > now() OR b.hold_until > now()
        OR coalesce(b.max_running, CASE WHEN b.failures >= %(failures_open)s THEN 1 END)
           <= (SELECT count(*) FROM running r
                WHERE r.workspace_id = b.workspace_id AND r.address = b.address)),
connectors AS MATERIALIZED (
    SELECT c.id FROM connectors_connector c JOIN running r ON r.connector_id = c.id
     WHERE c.max_running IS NOT NULL
     GROUP BY c.id, c.max_running HAVING count(*) >= c.max_running),
free AS (
    SELECT s.id AS workspace_id,
           CASE WHEN s.one_sync_at_a_time THEN 1 ELSE coalesce(s.max_running, 1000000) END
           - (SELECT count(*) FROM running r WHERE r.workspace_id = s.id) AS places
      FROM waiting JOIN workspaces_workspace s ON s.id = waiting.workspace_id),
turns AS (
    SELECT q.id, q.due_at, row_number() OVER (PARTITION BY free.workspace_id ORDER BY q.due_at) AS turn
      FROM free CROSS JOIN LATERAL (
        SELECT w.id, coalesce(w.not_before, w.queued_at) AS due_at FROM syncjobs_syncrecord w
         WHERE w.workspace_id = free.workspace_id AND w.state = 'queued'
           AND (w.not_before IS NULL OR w.not_before <= now())
           AND (w.rung_at IS NULL OR w.rung_at < now() - make_interval(secs => %(again_s)s))
           -- Arrays and no joins: with these the planner sorts a whole queue instead of reading the
           -- beginning of its index.
           AND w.job_id <> ALL (ARRAY(SELECT job_id FROM running))
           AND w.address <> ALL (ARRAY(SELECT address FROM hosts))
           AND w.connector_id <> ALL (ARRAY(SELECT id FROM connectors))
           AND w.address <> ALL (ARRAY(SELECT b.address FROM budgets b
                                        WHERE b.workspace_id = free.workspace_id))
         ORDER BY coalesce(w.not_before, w.queued_at)
         -- A few more than are asked for, because others may be taking the same ones just now.
         LIMIT CASE WHEN free.places > 0
                    THEN least(%(limit)s, free.places) + greatest(0, %(spare)s - %(limit)s)
                    ELSE 0 END) q),
-- Once, and not inside of the update's condition: run again for another row, it would lock others, beyond the limit.
-- `IS TRUE` keeps the planner, whatever it believes of the queue, from reading all of it for each turn.
taken AS MATERIALIZED (
    SELECT q.id, turns.turn, turns.due_at FROM syncjobs_syncrecord q JOIN turns USING (id)
     WHERE (q.state = 'queued') IS TRUE
       AND (q.rung_at IS NULL OR q.rung_at < now() - make_interval(secs => %(again_s)s))
     ORDER BY turns.turn, turns.due_at
     LIMIT CASE WHEN %(everywhere)s = 0 THEN %(limit)s
                ELSE least(%(limit)s, greatest(0, %(everywhere)s - (SELECT count(*) FROM running))) END
       FOR UPDATE OF q SKIP LOCKED)
UPDATE syncjobs_syncrecord r SET rung_at = now() FROM taken WHERE r.id = taken.id
RETURNING taken.turn, taken.due_at, r.id
"""


def take_unrung(limit: int = 200, *, ring_again_s: float = RING_AGAIN_S) -> list[uuid.UUID]:
    """Ids to ring for now, the workspaces in turn, the longest waiting of each first; each is taken by
    one caller only."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "limit": limit,
                "spare": SPARE,
                "again_s": ring_again_s,
                "everywhere": settings.SYNC.batch_size,
                "per_host": settings.SYNC.max_per_host,
                "failures_open": FAILURES_OPEN,
            },
        )
        return [record_id for *_, record_id in sorted(cursor.fetchall())]


def forget_rung(record_ids: Sequence[uuid.UUID]) -> None:
    """Their bells could not be rung: the next tick tries again, where it would wait for an answer."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE syncjobs_syncrecord SET rung_at = NULL WHERE state = 'queued' AND id = ANY(%s)",
            [list(record_ids)],
        )
