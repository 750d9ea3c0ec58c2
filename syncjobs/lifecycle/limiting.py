"""What stands in the way of a queued record: its job's running record, limits, and its host's budget.

Limits are counted from live rows: there are no counters that could leak. Whoever claims counts under
transaction locks that are taken in one order (installation, workspace, connector, host), so that two claims
never both take the last place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.conf import settings
from django.db import connection

from connectors.budget import Budget, Obstacle, decide_call
from syncjobs.core.limits import Limit, decide_limits
from syncjobs.models import SyncRecord

_BUDGET = [field.name for field in fields(Budget)]

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) AS name"

# One look at the partial indexes of running records for each limit that is set.
_COUNT = f"""
SELECT now(),
  EXISTS (SELECT FROM syncjobs_syncrecord WHERE state = 'running' AND job_id = %(job)s),
  CASE WHEN %(everywhere)s THEN
    (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'running') ELSE 0 END,
  CASE WHEN %(in_workspace)s THEN
    (SELECT count(*) FROM syncjobs_syncrecord
      WHERE state = 'running' AND workspace_id = %(workspace)s) ELSE 0 END,
  CASE WHEN %(in_connector)s THEN
    (SELECT count(*) FROM syncjobs_syncrecord
      WHERE state = 'running' AND connector_id = %(connector)s) ELSE 0 END,
  at_host.everyones, at_host.ours, budget.id IS NOT NULL, {", ".join(_BUDGET)}
  FROM (SELECT count(*) AS everyones, count(*) FILTER (WHERE workspace_id = %(workspace)s) AS ours
          FROM syncjobs_syncrecord WHERE state = 'running' AND address = %(address)s) at_host
  LEFT JOIN connectors_hostbudget budget
    ON budget.workspace_id = %(workspace)s AND budget.address = %(address)s
"""  # noqa: S608 — names of a dataclass's fields


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a record's workspace and connector allow; None: any number."""

    address: str
    in_workspace: int | None
    of_connector: int | None


def find_obstacle(record: SyncRecord, bounds: Bounds) -> Obstacle | None:
    """Call it in the claim's transaction, which keeps the counts true until it ends."""
    address = bounds.address
    everywhere = settings.SYNC.batch_size or None
    locks = [
        "syncs" if everywhere else "",
        f"syncs of workspace {record.workspace_id}" if bounds.in_workspace else "",
        f"syncs of connector {record.connector_id}" if bounds.of_connector else "",
        f"syncs at {address}",
    ]
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [[name for name in locks if name]])
        # A statement of its own: it has to see what others committed before they let go of the locks.
        cursor.execute(
            _COUNT,
            {
                "job": record.job_id,
                "everywhere": everywhere is not None,
                "in_workspace": bounds.in_workspace is not None,
                "in_connector": bounds.of_connector is not None,
                "workspace": record.workspace_id,
                "connector": record.connector_id,
                "address": address,
            },
        )
        now, has_twin, *counts, is_known = (row := cursor.fetchone())[: -len(_BUDGET)]
    if has_twin:
        return Obstacle("the running record of the same job")
    running, of_workspace, of_connector, at_host, ours_at_host = counts
    reached = decide_limits(
        [
            Limit("on this installation", running, everywhere),
            Limit("in this workspace", of_workspace, bounds.in_workspace),
            Limit("of this connector", of_connector, bounds.of_connector),
            Limit(f"at {address}", at_host, settings.SYNC.max_per_host or None),
        ]
    )
    if reached is not None or not is_known:
        return reached
    budget = Budget(*row[-len(_BUDGET) :])
    return decide_call(budget, now, address=address, running=ours_at_host)
