"""The figures that Prometheus asks for, of one workspace or of the whole installation.

No statement reads the records: totals are kept (`syncjobs.upkeep.counting`), and what runs or waits
is counted on the small indexes of running and queued records.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from database.rows import Cursor, Row, fetch_rows
from syncjobs.core.states import FINAL, MOVES, Event
from syncjobs.models import DURATION_BOUNDS_S
from syncjobs.queries.installation import read_oldest

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
_ROWS = ", ".join(f"sum(rows_{action})::bigint" for action in ROW_ACTIONS)
_FILES = ", ".join(f"sum(files_{action})::bigint" for action in ACTIONS)
_TOTALS = f"""
SELECT kind, event, sum(records)::bigint AS records, sum(bytes_transferred)::bigint AS bytes_transferred,
       sum(duration_s) AS duration_s,
       ARRAY[{", ".join(f"sum(durations[{n + 1}])::bigint" for n in range(len(DURATION_BOUNDS_S) + 1))}] AS durations,
       ARRAY[{_FILES}] AS file_counts, ARRAY[{_ROWS}] AS row_counts
  FROM syncjobs_eventtotal WHERE {{mine}} GROUP BY kind, event
"""  # noqa: S608 — made of this module's own names and numbers
_NOW = """
SELECT (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'running' AND {mine}) AS running,
       (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'queued' AND {mine}) AS queued,
       (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'held' AND NOT dry_run AND {mine}) AS held,
       (SELECT extract(epoch FROM now() - j.next_run_at)
          FROM syncjobs_syncjob j LEFT JOIN connectors_connector c ON c.id = j.connector_id
         WHERE j.enabled AND j.next_run_at <= now() AND (c.id IS NULL OR c.status = 'active') AND {job_mine}
         ORDER BY j.next_run_at LIMIT 1) AS lag_s
"""
_CONNECTORS = """
SELECT w.name AS workspace, c.name, c.kind, c.status = 'active' AS active,
       c.last_sync_status AS last_status, extract(epoch FROM c.last_sync_at)::float AS last_success_at,
       CASE k.state WHEN 'online' THEN true WHEN 'offline' THEN false END AS reached
  FROM connectors_connector c JOIN workspaces_workspace w ON w.id = c.workspace_id
  LEFT JOIN connectors_farendwatch k ON k.connector_id = c.id
 WHERE {connector_mine} ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of one kind and event, since the first day."""

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
    running: int
    queued: int
    held: int
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    totals: Sequence[Totals]
    running: int
    queued: int
    held: int
    oldest_queued_s: float  # 0 where none waits
    dispatch_lag_s: float  # of the job that is longest due; 0 where none is
    connectors: Sequence[ConnectorFigures]

    @property
    def kinds(self) -> list[str]:
        return sorted({row.kind for row in self.totals} | {row.kind for row in self.connectors})


def read_figures(cursor: Cursor, workspace_id: uuid.UUID | None = None) -> Figures:
    words = {"workspace": workspace_id}

    def ask(statement: str, row_type: Callable[..., Row]) -> list[Row]:
        cursor.execute(
            statement.format(
                mine=_mine("workspace_id", workspace_id),
                job_mine=_mine("j.workspace_id", workspace_id),
                connector_mine=_mine("c.workspace_id", workspace_id),
            ),
            words,
        )
        return fetch_rows(cursor, row_type)

    [now] = ask(_NOW, _Now)
    oldest_s, _ = read_oldest(cursor, workspace_id)
    return Figures(
        totals=ask(_TOTALS, Totals),
        running=now.running,
        queued=now.queued,
        held=now.held,
        oldest_queued_s=oldest_s or 0.0,
        dispatch_lag_s=float(now.lag_s or 0),
        connectors=ask(_CONNECTORS, ConnectorFigures),
    )


def _mine(column: str, workspace_id: uuid.UUID | None) -> str:
    return "true" if workspace_id is None else f"{column} = %(workspace)s"
