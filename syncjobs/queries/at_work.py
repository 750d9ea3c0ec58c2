"""What happens now, for the first page: what runs, waits and is due, and which hosts are away, in one statement.

One statement, because the page asks every three seconds: each part takes a few rows from the end of a small index and
comes back as JSON. Ages are by the database's clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection

from database.rows import fetch_rows

# What waits is read first, from the index of what waits: the index by time is one of all records that ever were.
_LOOK = """
WITH waits AS MATERIALIZED (
  SELECT id, job_id, workspace_id, waiting_for, queued_at, not_before FROM syncjobs_syncrecord
   WHERE state = 'queued' AND NOT dry_run AND {mine})
SELECT
 (SELECT count(*) FROM syncjobs_syncrecord WHERE state = 'running' AND NOT dry_run AND {mine}) AS running_count,
 (SELECT count(*) FROM waits) AS waiting_count,
 (SELECT count(*) FROM syncjobs_syncjob WHERE {mine}) AS job_count,
 (SELECT count(*) FROM connectors_connector WHERE {mine}) AS connector_count,
 (SELECT json_agg(x) FROM (
   SELECT r.id, j.name AS job, w.name AS workspace, r.stage, r.percentage, r.current_file_index, r.total_files,
          r.total_bytes, r.bytes_done, r.bytes_per_s, r.bytes_transferred, r.rows_read, r.waiting_for, r.expected_duration_s AS expected_s,
          r.cancel_asked_at IS NOT NULL AS is_cancelled, r.heartbeat_at AS heartbeat,
          extract(epoch FROM now() - r.heartbeat_at)::float AS heartbeat_s,
          coalesce(r.worked_s, 0) + coalesce(extract(epoch FROM now() - r.claimed_at), 0)::float AS ran_s
     FROM syncjobs_syncrecord r JOIN syncjobs_syncjob j ON j.id = r.job_id
     JOIN workspaces_workspace w ON w.id = r.workspace_id
    WHERE r.state = 'running' AND NOT r.dry_run AND {record_mine} ORDER BY r.started_at LIMIT %(most)s) x) AS running,
 (SELECT json_agg(x) FROM (
   SELECT r.id, j.name AS job, w.name AS workspace, r.waiting_for, r.queued_at AS at, r.not_before
     FROM (SELECT * FROM waits r WHERE {record_mine} ORDER BY r.queued_at LIMIT %(few)s) r
     JOIN syncjobs_syncjob j ON j.id = r.job_id
     JOIN workspaces_workspace w ON w.id = r.workspace_id ORDER BY r.queued_at) x) AS waiting,
 (SELECT json_agg(x) FROM (
   SELECT j.id, j.name AS job, w.name AS workspace, j.next_run_at AS at
     FROM syncjobs_syncjob j JOIN workspaces_workspace w ON w.id = j.workspace_id
     LEFT JOIN connectors_connector c ON c.id = j.connector_id
    WHERE j.enabled AND j.paused_at IS NULL AND j.next_run_at IS NOT NULL
      AND (c.id IS NULL OR c.status = 'active') AND {job_mine}
    ORDER BY j.next_run_at LIMIT %(few)s) x) AS due,
 (SELECT json_agg(x) FROM (
   SELECT c.id, c.name, w.name AS workspace, k.since, k.failures, k.last_error AS error, b.opened_until,
          CASE WHEN k.watch THEN k.due_at END AS next_at, k.state = 'offline' AS is_offline,
          (SELECT count(*) FROM syncjobs_syncrecord q
            WHERE q.state = 'queued' AND q.workspace_id = c.workspace_id AND q.connector_id = c.id) AS waits,
          count(*) OVER () AS of
     FROM connectors_connector c JOIN connectors_farendwatch k ON k.connector_id = c.id
     JOIN workspaces_workspace w ON w.id = c.workspace_id
     LEFT JOIN connectors_hostbudget b ON b.workspace_id = c.workspace_id AND b.opened_until > now()
          AND b.address = lower(c.host) || ':' || c.port
    WHERE (k.state = 'offline' OR b.id IS NOT NULL) AND c.status = 'active' AND {connector_mine}
    ORDER BY k.since DESC NULLS LAST LIMIT %(few)s) x) AS away
"""


@dataclass(frozen=True, slots=True)
class RunningLine:
    id: uuid.UUID
    job: str
    workspace: str
    stage: str
    percentage: float
    current_file_index: int
    total_files: int | None
    total_bytes: int | None
    bytes_done: int
    bytes_per_s: int | None
    bytes_transferred: int
    rows_read: int | None
    waiting_for: str  # within the attempt, such as for a host that asked for patience
    expected_s: float | None
    is_cancelled: bool
    heartbeat: datetime
    heartbeat_s: float
    ran_s: float


@dataclass(frozen=True, slots=True)
class WaitingLine:
    id: uuid.UUID
    job: str
    workspace: str
    waiting_for: str
    at: datetime
    not_before: datetime | None


@dataclass(frozen=True, slots=True)
class DueLine:
    id: uuid.UUID
    job: str
    workspace: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AwayHost:
    """A connector whose far end is offline, or whose circuit is open: nobody calls before `opened_until`."""

    id: uuid.UUID
    name: str
    workspace: str
    since: datetime | None
    failures: int
    error: str
    opened_until: datetime | None
    next_at: datetime | None  # None: it is not watched
    is_offline: bool
    waits: int  # records that are queued for it
    of: int


@dataclass(frozen=True, slots=True)
class WorkNow:
    """Lists hold the first ones; the counts all."""

    running: Sequence[RunningLine]
    waiting: Sequence[WaitingLine]
    due: Sequence[DueLine]
    away: Sequence[AwayHost]
    running_count: int
    waiting_count: int
    job_count: int
    connector_count: int


@dataclass(frozen=True, slots=True)
class _Look:
    running_count: int
    waiting_count: int
    job_count: int
    connector_count: int
    running: list[dict[str, Any]] | None
    waiting: list[dict[str, Any]] | None
    due: list[dict[str, Any]] | None
    away: list[dict[str, Any]] | None


def look_at_work(workspaces: Sequence[uuid.UUID] | None, *, most: int, few: int) -> WorkNow:
    """`most` running records, `few` of everything else. `workspaces` None means all."""
    mine = {
        name: "true" if workspaces is None else f"{column} = ANY(%(workspaces)s)"
        for name, column in _COLUMNS.items()
    }
    words: dict[str, Any] = {"workspaces": workspaces, "most": most, "few": few}
    with connection.cursor() as cursor:
        cursor.execute(_LOOK.format(**mine), words)
        [look] = fetch_rows(cursor, _Look)
    return WorkNow(
        running=_read(RunningLine, look.running),
        waiting=_read(WaitingLine, look.waiting),
        due=_read(DueLine, look.due),
        away=_read(AwayHost, look.away),
        running_count=look.running_count,
        waiting_count=look.waiting_count,
        job_count=look.job_count,
        connector_count=look.connector_count,
    )


_COLUMNS = {
    "mine": "workspace_id",
    "record_mine": "r.workspace_id",
    "job_mine": "j.workspace_id",
    "connector_mine": "c.workspace_id",
}
_MOMENTS = frozenset(("heartbeat", "at", "not_before", "since", "opened_until", "next_at"))
Line = TypeVar("Line", RunningLine, WaitingLine, DueLine, AwayHost)


def _read(line: type[Line], rows: list[dict[str, Any]] | None) -> list[Line]:
    return [
        line(**{name: _value(name, value) for name, value in row.items()}) for row in rows or ()
    ]


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _MOMENTS:
        return datetime.fromisoformat(value)
    return uuid.UUID(value) if name == "id" else value
