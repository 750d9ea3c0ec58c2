"""The figures that Prometheus asks for, of one workspace or of the whole installation.

No statement reads the records: totals are kept (`syncjobs.upkeep.counting`), and what runs or waits
is counted on the small indexes of running and queued records.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from database.rows import Cursor, Row, fetch_rows
from syncjobs.core.states import FINAL, MOVES, Event
from syncjobs.queries.installation import read_oldest_each

ACTIONS = (
    "added",
    "changed",
    "removed",
    "unchanged",
    "failed",
    "skipped",
    "deferred",
    "cleared",  # at the source
)

ROW_ACTIONS = ("read", "added", "changed", "removed", "unchanged", "failed")
_ROWS = ", ".join(f"rows_{action}" for action in ROW_ACTIONS)
_FILES = ", ".join(f"files_{action}" for action in ACTIONS)
_TOTALS = f"""
SELECT w.name AS workspace, kind, event, records, bytes_transferred, duration_s, durations,
       ARRAY[{_FILES}] AS file_counts, ARRAY[{_ROWS}] AS row_counts
  FROM syncjobs_eventtotal t JOIN workspaces_workspace w ON w.id = t.workspace_id WHERE {{mine}}
"""  # noqa: S608 — made of this module's own names and numbers
# Each part reads a small index: of what runs, of what waits, of what is held, of what is due.
_NOW = """
WITH running AS (
  SELECT workspace_id, count(*) AS number FROM syncjobs_syncrecord WHERE state = 'running' GROUP BY 1
), queued AS (
  SELECT workspace_id, count(*) AS number FROM syncjobs_syncrecord WHERE state = 'queued' GROUP BY 1
), held AS (
  SELECT workspace_id, count(*) AS number FROM syncjobs_syncrecord WHERE state = 'held' AND NOT dry_run GROUP BY 1
), due AS (
  SELECT j.workspace_id, extract(epoch FROM now() - min(j.next_run_at))::float AS lag_s
    FROM syncjobs_syncjob j LEFT JOIN connectors_connector c ON c.id = j.connector_id
   WHERE j.enabled AND j.next_run_at <= now() AND (c.id IS NULL OR c.status = 'active') GROUP BY 1
)
SELECT w.id AS workspace_id, w.name AS workspace, coalesce(running.number, 0) AS running,
       coalesce(queued.number, 0) AS queued, coalesce(held.number, 0) AS held, coalesce(due.lag_s, 0) AS lag_s
  FROM workspaces_workspace w
  LEFT JOIN running ON running.workspace_id = w.id
  LEFT JOIN queued ON queued.workspace_id = w.id
  LEFT JOIN held ON held.workspace_id = w.id
  LEFT JOIN due ON due.workspace_id = w.id
 WHERE {mine} ORDER BY 2
"""
_CONNECTORS = """
SELECT w.name AS workspace, c.name, c.kind, c.status = 'active' AS active,
       c.last_sync_status AS last_status, extract(epoch FROM c.last_sync_at)::float AS last_success_at,
       CASE k.state WHEN 'online' THEN true WHEN 'offline' THEN false END AS reached
  FROM connectors_connector c JOIN workspaces_workspace w ON w.id = c.workspace_id
  LEFT JOIN connectors_farendwatch k ON k.connector_id = c.id
 WHERE {mine} ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of one kind and event in one workspace, since the first day."""

    workspace: str
    kind: str
    event: str
    records: int
    bytes_transferred: int
    duration_s: float
    durations: Sequence[int]  # between two of DURATION_BOUNDS_S; one more than there are bounds
    file_counts: Sequence[int]  # one for each of ACTIONS
    row_counts: Sequence[int]  # one for each of ROW_ACTIONS

    @property
    def files(self) -> Mapping[str, int]:
        """Counts of files by action."""
        return dict(zip(ACTIONS, self.file_counts, strict=True))

    @property
    def rows(self) -> Mapping[str, int]:
        """Counts of rows by action."""
        return dict(zip(ROW_ACTIONS, self.row_counts, strict=True))

    @property
    def final_state(self) -> str | None:
        """The state that the event leaves a record in for good; None where it goes on."""
        if self.event not in set(Event):
            return None  # of an older version
        state = MOVES[Event(self.event)].target
        return state.value if state in FINAL else None


@dataclass(frozen=True, slots=True)
class ConnectorFigures:
    workspace: str
    name: str
    kind: str
    active: bool
    last_status: str  # of the latest record; empty where none has ended
    last_success_at: float | None  # seconds since 1970
    reached: bool | None  # by the monitor; None where it has heard nothing yet


@dataclass(frozen=True, slots=True)
class _Now:
    workspace_id: uuid.UUID
    workspace: str
    running: int
    queued: int
    held: int
    lag_s: float


@dataclass(frozen=True, slots=True)
class WorkspaceFigures:
    """What one workspace does now, and did since the first day."""

    workspace: str
    running: int
    queued: int
    held: int
    oldest_queued_s: float  # 0 where none waits
    dispatch_lag_s: float  # of the job that is longest due; 0 where none is
    totals: Sequence[Totals]
    connectors: Sequence[ConnectorFigures]

    @property
    def kinds(self) -> list[str]:
        return sorted({row.kind for row in self.totals} | {row.kind for row in self.connectors})


def read_figures(cursor: Cursor, workspace_id: uuid.UUID | None = None) -> list[WorkspaceFigures]:
    """Of one workspace, or of each; by their names."""
    words = {"workspace": workspace_id}
    mine = "true" if workspace_id is None else "w.id = %(workspace)s"

    def ask(statement: str, row_type: Callable[..., Row]) -> list[Row]:
        cursor.execute(statement.format(mine=mine), words)
        return fetch_rows(cursor, row_type)

    oldest = read_oldest_each(cursor, workspace_id)
    totals: dict[str, list[Totals]] = defaultdict(list)
    for total in ask(_TOTALS, Totals):
        totals[total.workspace].append(total)
    connectors: dict[str, list[ConnectorFigures]] = defaultdict(list)
    for connector in ask(_CONNECTORS, ConnectorFigures):
        connectors[connector.workspace].append(connector)
    return [
        WorkspaceFigures(
            workspace=now.workspace,
            running=now.running,
            queued=now.queued,
            held=now.held,
            oldest_queued_s=oldest.get(now.workspace_id, 0.0),
            dispatch_lag_s=now.lag_s,
            totals=totals[now.workspace],
            connectors=connectors[now.workspace],
        )
        for now in ask(_NOW, _Now)
    ]
