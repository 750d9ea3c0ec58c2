"""Finds what stops a queued record: its job's running record, limits, its host's budget, or the fair shares of
other workspaces.

Limits are counted from live rows: there are no counters that could leak. Whoever claims counts under
transaction locks that are taken in one order (installation, workspace, connector, host), so that two claims
never both take the last place. A share needs its workspace's lock only: claims of others move records from
what these could run to what they run, and the share counts both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from django.conf import settings
from django.db import connection

from database.rows import fetch_rows
from farends.budget import Budget, Obstacle, decide_call
from syncjobs.claims.demand import find_unfair
from syncjobs.core.limits import Limit, decide_limits
from syncjobs.models import SyncRecord

TWIN = "the running record of the same job"
_AWAY_S = 60  # a worker process that was not seen for so long gives no places
_BUDGET = [field.name for field in fields(Budget)]

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) AS name"

# One look at the partial indexes of running records for each limit that is set.
_COUNT = f"""
SELECT now() AS now,
  EXISTS (SELECT FROM syncjobs_syncrecord WHERE state = 'running' AND job_id = %(job)s) AS has_twin,
  CASE WHEN %(everywhere)s THEN
    (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'running') ELSE 0 END AS everywhere,
  (SELECT count(*) FROM syncjobs_syncrecord
    WHERE state = 'running' AND workspace_id = %(workspace)s) AS of_workspace,
  (SELECT sum(CASE WHEN NOT draining AND store_id = (SELECT i.store_id FROM datasets_installation i)
                   THEN slots ELSE running END) FROM syncjobs_processsign
    WHERE part = 'worker' AND seen_at > now() - make_interval(secs => %(away_s)s)) AS slots,
  CASE WHEN %(in_connector)s THEN
    (SELECT count(*) FROM syncjobs_syncrecord
      WHERE state = 'running' AND connector_id = %(connector)s) ELSE 0 END AS of_connector,
  (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'running' AND dialled = %(dialled)s) AS at_host,
  budget.address, budgeted.ours, {", ".join(_BUDGET)}
  FROM (VALUES (true)) one_row
  LEFT JOIN connectors_hostbudget budget
    ON budget.workspace_id = %(workspace)s AND budget.address IN (%(address)s, %(dialled)s)
  LEFT JOIN LATERAL (
    SELECT count(*) AS ours FROM syncjobs_syncrecord r
     WHERE r.state = 'running' AND r.workspace_id = %(workspace)s
       AND budget.address IN (r.address, r.dialled)) budgeted ON true
"""  # noqa: S608 — names of a dataclass's fields


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a record's workspace and connector allow; None: any number. `address` and `dialled` are empty where nobody
    is dialled. `has_rivals`: other workspaces have queued records."""

    address: str
    dialled: str
    in_workspace: int | None
    of_connector: int | None
    has_rivals: bool


@dataclass(frozen=True, slots=True)
class _Counted:
    """What runs, and of one budget what is known: of the far end's, or of who stands before it."""

    now: datetime
    has_twin: bool
    everywhere: int  # 0 where no limit asks for it, as `of_connector`
    of_workspace: int
    slots: int | None
    of_connector: int
    at_host: int
    address: str | None  # None: there is no budget, and the rest means nothing
    ours: int
    failures: int
    opened_until: datetime | None
    hold_until: datetime | None
    max_running: int | None
    learned_at: datetime | None
    last_error: str

    @property
    def budget(self) -> Budget:
        return Budget(**{name: getattr(self, name) for name in _BUDGET})


def find_obstacle(record: SyncRecord, bounds: Bounds) -> Obstacle | None:
    """Call it in the claim's transaction, which keeps the counts true until it ends."""
    everywhere = settings.SYNC.batch_size or None
    counts_workspace = bounds.in_workspace is not None or bounds.has_rivals
    locks = [
        "syncs" if everywhere else "",
        f"syncs of workspace {record.workspace_id}" if counts_workspace else "",
        f"syncs of connector {record.connector_id}" if bounds.of_connector else "",
        *sorted({f"syncs at {host}" for host in (bounds.address, bounds.dialled) if host}),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [[name for name in locks if name]])
        # A statement of its own: it has to see what others committed before they let go of the locks.
        cursor.execute(
            _COUNT,
            {
                "job": record.job_id,
                "everywhere": everywhere is not None,
                "in_connector": bounds.of_connector is not None,
                "workspace": record.workspace_id,
                "connector": record.connector_id,
                "address": bounds.address,
                "dialled": bounds.dialled,
                "away_s": _AWAY_S,
            },
        )
        rows = fetch_rows(cursor, _Counted)
    counted = rows[0]
    if counted.has_twin:
        return Obstacle(TWIN)
    reached = decide_limits(
        [
            Limit("on this installation", counted.everywhere, everywhere),
            Limit("in this workspace", counted.of_workspace, bounds.in_workspace),
            Limit("of this connector", counted.of_connector, bounds.of_connector),
            Limit(
                f"at {bounds.dialled}",
                counted.at_host,
                (settings.SYNC.max_per_host or None) if bounds.dialled else None,
            ),
        ]
    )
    for row in rows:
        if reached is None and row.address is not None:
            reached = decide_call(row.budget, row.now, address=row.address, running=row.ours)
    if reached is None and bounds.has_rivals and (places := _least(everywhere, counted.slots)):
        reached = find_unfair(
            record.workspace_id, ours=counted.of_workspace, slots=places, now=counted.now
        )
    return reached


def _least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)
