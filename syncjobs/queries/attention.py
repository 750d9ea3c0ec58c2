"""Jobs that need a person: what is held or suspect, and whose last sync did not succeed. One line for each job.

Every statement begins at a small index: held records, suspect ones, jobs that show an error. So the length of the
history costs nothing. `workspaces` None means all.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from database.rows import fetch_rows

STRIP = 10  # records shown beside a failing job
SUSPECT_DAYS = 7  # a suspect record asks so long, unless a later record supersedes it

# A later record supersedes an earlier decision where it published, or asks itself. One that failed did neither.
_DECISIONS = """
WITH asked AS (
  (SELECT DISTINCT ON (job_id) id, job_id, queued_at, 'held' AS kind FROM syncjobs_syncrecord
    WHERE state = 'held' AND NOT dry_run AND {mine} ORDER BY job_id, queued_at DESC)
  UNION ALL
  (SELECT DISTINCT ON (job_id) id, job_id, queued_at, 'suspect' FROM syncjobs_syncrecord
    WHERE verdict = 'suspect' AND NOT dry_run AND {mine}
      AND queued_at > now() - make_interval(days => %(suspect_days)s) ORDER BY job_id, queued_at DESC)
)
SELECT asked.kind, r.id AS record_id, j.id AS job_id, j.name AS job, w.name AS workspace, r.queued_at AS at,
       coalesce(r.finished_at, r.started_at, r.queued_at) AS since, r.error, r.hold, r.total_files,
       r.files_added, r.files_changed, r.dataset_version, count(*) OVER () AS of
  FROM asked
  JOIN syncjobs_syncrecord r ON r.id = asked.id
  JOIN syncjobs_syncjob j ON j.id = asked.job_id
  JOIN workspaces_workspace w ON w.id = j.workspace_id
 WHERE NOT EXISTS (
   SELECT FROM syncjobs_syncrecord later
    WHERE later.job_id = asked.job_id AND later.queued_at > asked.queued_at AND NOT later.dry_run
      AND later.state IN ('succeeded', 'partial', 'held'))
 ORDER BY r.queued_at DESC LIMIT %(most)s
"""

# `last_error` is written at each end, and emptied by a success.
_FAILING = """
SELECT j.id AS job_id, j.name AS job, w.name AS workspace, j.paused_at IS NOT NULL AS paused, last.id AS record_id,
       last.state, last.error, last.error_code, last.finished_at, last.connector_id, last.files_failed,
       last.total_files, count(*) OVER () AS of,
       (SELECT json_agg(json_build_array(strip.state, strip.verdict, strip.took_s, strip.queued_at))
          FROM (SELECT state, verdict, queued_at, worked_s AS took_s
                  FROM syncjobs_syncrecord
                 WHERE job_id = j.id AND NOT dry_run AND state <> 'queued'
                 ORDER BY queued_at DESC LIMIT %(strip)s) strip) AS strip
  FROM syncjobs_syncjob j
  JOIN workspaces_workspace w ON w.id = j.workspace_id
 CROSS JOIN LATERAL (
   SELECT * FROM syncjobs_syncrecord
    WHERE job_id = j.id AND NOT dry_run AND state IN ('succeeded', 'partial', 'failed', 'timed_out')
    ORDER BY queued_at DESC LIMIT 1) last
 WHERE j.last_error <> '' AND j.enabled AND {job_mine} AND last.state <> 'succeeded'
 ORDER BY last.finished_at DESC LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """A record that asks a person: it is held, or it succeeded and moved much less or more than usual."""

    kind: str
    record_id: uuid.UUID
    job_id: uuid.UUID
    job: str
    workspace: str
    at: datetime
    since: datetime
    error: str
    hold: dict[str, Any] | None
    total_files: int | None
    files_added: int
    files_changed: int
    dataset_version: int | None
    of: int  # decisions in all


@dataclass(frozen=True, slots=True)
class FailingJob:
    """A job whose last sync that ended did not succeed. `strip` are its latest syncs, the newest first, each as
    (state, verdict, seconds or None, when it was queued)."""

    job_id: uuid.UUID
    job: str
    workspace: str
    paused: bool
    record_id: uuid.UUID
    state: str
    error: str
    error_code: str
    finished_at: datetime
    connector_id: uuid.UUID | None
    files_failed: int
    total_files: int | None
    of: int
    strip: Sequence[tuple[str, str, float | None, str]] = field(default_factory=list)

    @property
    def in_a_row(self) -> int:
        """Syncs without a success, as far as the strip reaches."""
        count = 0
        for state, _, _, _ in self.strip:
            if state == "succeeded":
                break
            count += state in ("failed", "timed_out", "partial")
        return count

    @property
    def since(self) -> datetime:
        """When the first of these was queued."""
        since = self.finished_at
        for state, _, _, queued_at in self.strip:
            if state == "succeeded":
                break
            if state in ("failed", "timed_out", "partial"):
                since = datetime.fromisoformat(queued_at)
        return since


def find_decisions(workspaces: Sequence[uuid.UUID] | None, *, most: int) -> list[Decision]:
    """The newest first, and of each job the newest one alone."""
    words: dict[str, Any] = {
        "workspaces": workspaces,
        "most": most,
        "suspect_days": SUSPECT_DAYS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DECISIONS.format(mine=_mine("workspace_id", workspaces)), words)
        return fetch_rows(cursor, Decision)


def find_failing(workspaces: Sequence[uuid.UUID] | None, *, most: int) -> list[FailingJob]:
    """The latest first; disabled jobs are left out, and cancelled records say nothing."""
    words: dict[str, Any] = {"workspaces": workspaces, "most": most, "strip": STRIP}
    with connection.cursor() as cursor:
        cursor.execute(_FAILING.format(job_mine=_mine("j.workspace_id", workspaces)), words)
        return fetch_rows(cursor, FailingJob)


def _mine(column: str, workspaces: Sequence[uuid.UUID] | None) -> str:
    return "true" if workspaces is None else f"{column} = ANY(%(workspaces)s)"
