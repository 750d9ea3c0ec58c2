"""Finds the workspaces that have records to run now. The fair shares are computed from this.

Due, and turned away by nothing that the database knows: the job's running record, a limit, a host's budget, a
closed window. Where a workspace has many that are turned away the look costs a pass over them, as a bell does.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection

from database.rows import fetch_rows
from farends.budget import FAILURES_OPEN, Obstacle
from syncjobs.claims.windowing import CALENDARS, find_closed
from syncjobs.core.limits import Demand, decide_share

# The workspaces that have queued records: one look at the index for each.
WAITING = """
waiting AS (
    (SELECT workspace_id FROM syncjobs_syncrecord WHERE state = 'queued'
      ORDER BY workspace_id LIMIT 1)
  UNION ALL
    SELECT (SELECT workspace_id FROM syncjobs_syncrecord
             WHERE state = 'queued' AND workspace_id > w.workspace_id
             ORDER BY workspace_id LIMIT 1)
      FROM waiting w WHERE w.workspace_id IS NOT NULL)
"""
# What has no place left; and what each workspace that waits has left.
FULL = """
running AS MATERIALIZED (
    SELECT workspace_id, connector_id, job_id, address, dialled FROM syncjobs_syncrecord
     WHERE state = 'running'),
hosts AS MATERIALIZED (
    SELECT dialled FROM running WHERE dialled <> '' GROUP BY dialled
    HAVING %(per_host)s > 0 AND count(*) >= %(per_host)s),
budgets AS MATERIALIZED (
    SELECT b.workspace_id, b.address FROM connectors_hostbudget b
     WHERE b.opened_until > now() OR b.hold_until > now()
        OR coalesce(b.max_running, CASE WHEN b.failures >= %(failures_open)s THEN 1 END)
           <= (SELECT count(*) FROM running r
                WHERE r.workspace_id = b.workspace_id AND b.address IN (r.address, r.dialled))),
connectors AS MATERIALIZED (
    SELECT c.id FROM connectors_connector c JOIN running r ON r.connector_id = c.id
     WHERE c.max_running IS NOT NULL
     GROUP BY c.id, c.max_running HAVING count(*) >= c.max_running),
free AS (
    SELECT s.id AS workspace_id, at_work.running,
           CASE WHEN s.one_sync_at_a_time THEN 1 ELSE coalesce(s.max_running, 1000000) END
           - at_work.running AS places
      FROM waiting JOIN workspaces_workspace s ON s.id = waiting.workspace_id
     CROSS JOIN LATERAL (
        SELECT count(*) AS running FROM running r WHERE r.workspace_id = s.id) at_work)
"""
# Of a queued record `r` of the workspace `free`. Arrays and no joins: with these the planner sorts a whole
# queue instead of reading the beginning of its index.
READY = """
r.workspace_id = free.workspace_id AND r.state = 'queued'
       AND (r.not_before IS NULL OR r.not_before <= now())
       AND r.job_id <> ALL (ARRAY(SELECT job_id FROM running))
       AND r.dialled <> ALL (ARRAY(SELECT dialled FROM hosts))
       AND (r.connector_id IS NULL OR r.connector_id <> ALL (ARRAY(SELECT id FROM connectors)))
       AND r.address <> ALL (ARRAY(SELECT b.address FROM budgets b
                                    WHERE b.workspace_id = free.workspace_id))
       AND r.dialled <> ALL (ARRAY(SELECT b.address FROM budgets b
                                    WHERE b.workspace_id = free.workspace_id))
"""
# Of the others: what they run; and, of those that run fewer than we do, as many ready ones as they lack, and no
# more in all than there are places.
_OTHERS = f"""
WITH RECURSIVE {WAITING}, {FULL}
SELECT workspace_id, count(*) AS running, NULL AS calendars FROM running WHERE workspace_id <> %(workspace)s GROUP BY workspace_id
UNION ALL (
SELECT free.workspace_id, NULL, ready.calendars
  FROM free CROSS JOIN LATERAL (
    SELECT (SELECT {CALENDARS} FROM syncjobs_syncjob j, workspaces_workspace w
             WHERE j.id = r.job_id AND w.id = r.workspace_id) AS calendars
      FROM syncjobs_syncrecord r WHERE {READY}
     LIMIT least(%(ours)s - free.running, free.places) + %(more)s) ready
 WHERE free.workspace_id <> %(workspace)s AND free.running < %(ours)s AND free.places > 0
 LIMIT %(slots)s + %(more)s)
"""  # noqa: S608 — the parts above
_MORE = 2_000  # are looked at where windows keep some closed


def words_of_limits() -> dict[str, Any]:
    """What FULL asks for."""
    return {"per_host": settings.SYNC.max_per_host, "failures_open": FAILURES_OPEN}


def find_unfair(
    workspace_id: uuid.UUID, *, ours: int, slots: int, now: datetime
) -> Obstacle | None:
    """Whether a further record of a workspace that runs `ours` would take a place that another one is due."""
    if ours == 0:
        return None
    look = partial(_look, workspace_id, ours=ours, slots=slots, now=now)
    demands, some_closed = look(more=0)
    if some_closed and decide_share(ours, demands, slots) is None:
        demands, _ = look(more=_MORE)
    return decide_share(ours, demands, slots)


@dataclass(frozen=True, slots=True)
class _Other:
    """What another workspace runs; or, where `running` is None, one record that it could run."""

    workspace_id: uuid.UUID
    running: int | None
    calendars: str | None  # of that record; see `find_closed`


def _look(
    workspace_id: uuid.UUID, *, ours: int, slots: int, now: datetime, more: int
) -> tuple[list[Demand], bool]:
    """What the others run and could run; and whether windows keep some from it."""
    wanted: dict[str, Any] = {"workspace": workspace_id, "ours": ours, "slots": slots, "more": more}
    running: Counter[uuid.UUID] = Counter()
    ready: Counter[uuid.UUID] = Counter()
    is_closed: dict[str | None, bool] = {}  # most jobs of a workspace have the same windows
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, wanted | words_of_limits())
        for other in fetch_rows(cursor, _Other):
            if other.running is not None:
                running[other.workspace_id] = other.running
                continue
            if other.calendars not in is_closed:
                is_closed[other.calendars] = find_closed(other.calendars, now) is not None
            ready[other.workspace_id] += not is_closed[other.calendars]
    demands = [Demand(running[other], ready[other]) for other in running.keys() | ready.keys()]
    return demands, any(is_closed.values())
