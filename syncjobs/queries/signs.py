"""What running records show of themselves, as ages by the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from connectors.opening import read_granted_silence_s
from database.rows import fetch_rows
from syncjobs.core.stuck import Signs

_RUNNING = """
SELECT r.id, r.lease_owner, r.stage, r.deadline_s, r.heartbeat_at, r.progress_at, r.lease_expires_at,
       claimed.at AS claimed_at, r.cancel_asked_at, r.current_file_index, r.total_files,
       r.bytes_transferred, r.attempt, r.crash_count, coalesce(c.options, '{}') AS options,
       extract(epoch FROM now() - r.lease_expires_at)::float AS lease_ran_out_s,
       extract(epoch FROM now() - r.heartbeat_at)::float AS heartbeat_s,
       extract(epoch FROM now() - r.progress_at)::float AS progress_s,
       extract(epoch FROM now() - greatest(claimed.at, %(counted_from)s))::float AS worked_s,
       extract(epoch FROM now() - r.cancel_asked_at)::float AS cancel_asked_s
  FROM syncjobs_syncrecord r
  LEFT JOIN connectors_connector c ON c.id = r.connector_id
  LEFT JOIN LATERAL (
       SELECT at FROM events_syncevent e
        WHERE e.record_id = r.id AND e.event = 'claimed' ORDER BY e.id DESC LIMIT 1) claimed ON true
 WHERE r.state = 'running'
   AND (%(record)s::uuid IS NULL OR r.id = %(record)s)
   AND (%(workspaces)s::uuid[] IS NULL OR r.workspace_id = ANY(%(workspaces)s))
   AND (r.cancel_asked_at IS NOT NULL OR NOT %(cancelled_only)s)
 ORDER BY r.lease_expires_at
"""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A running record as it was seen; `told` is the same in words that an event can keep."""

    record_id: uuid.UUID
    owner: str
    signs: Signs
    told: dict[str, Any]


def look_at_all(
    *,
    workspace_ids: Sequence[uuid.UUID] | None = None,
    cancelled_only: bool = False,
    counted_from: datetime | None = None,
) -> list[Sighting]:
    """Every running record, the one whose lease ends first in front. The work of an attempt is counted
    from its claim, but from `counted_from` at the earliest."""
    return _look(None, workspace_ids, cancelled_only=cancelled_only, counted_from=counted_from)


def look_at(record_id: uuid.UUID, *, counted_from: datetime | None = None) -> Sighting | None:
    """Returns None if the record does not run."""
    found = _look(record_id, None, counted_from=counted_from)
    return found[0] if found else None


def _look(
    record_id: uuid.UUID | None,
    workspace_ids: Sequence[uuid.UUID] | None,
    *,
    cancelled_only: bool = False,
    counted_from: datetime | None = None,
) -> list[Sighting]:
    with connection.cursor() as cursor:
        cursor.execute(
            _RUNNING,
            {
                "record": record_id,
                "workspaces": None if workspace_ids is None else list(workspace_ids),
                "cancelled_only": cancelled_only,
                "counted_from": counted_from,
            },
        )
        return [_sighting(row) for row in fetch_rows(cursor, _Running)]


@dataclass(frozen=True, slots=True)
class _Running:
    id: uuid.UUID
    lease_owner: str
    stage: str
    deadline_s: float | None
    heartbeat_at: datetime
    progress_at: datetime | None
    lease_expires_at: datetime
    claimed_at: datetime | None
    cancel_asked_at: datetime | None
    current_file_index: int
    total_files: int | None
    bytes_transferred: int
    attempt: int
    crash_count: int
    options: dict[str, Any]  # of the connector
    lease_ran_out_s: float
    heartbeat_s: float
    progress_s: float | None
    worked_s: float | None
    cancel_asked_s: float | None


def _sighting(row: _Running) -> Sighting:
    signs = Signs(
        stage=row.stage,
        lease_ran_out_s=row.lease_ran_out_s,
        heartbeat_s=row.heartbeat_s,
        progress_s=row.progress_s,
        worked_s=row.worked_s,
        deadline_s=row.deadline_s,
        cancel_asked_s=row.cancel_asked_s,
        patience_s=read_granted_silence_s(row.options),
    )
    told = {
        "owner": row.lease_owner,
        "stage": row.stage,
        "heartbeat_at": _iso(row.heartbeat_at),
        "progress_at": _iso(row.progress_at),
        "lease_expires_at": _iso(row.lease_expires_at),
        "claimed_at": _iso(row.claimed_at),
        "cancel_asked_at": _iso(row.cancel_asked_at),
        "deadline_s": row.deadline_s,
        "files": row.current_file_index,
        "total_files": row.total_files,
        "bytes": row.bytes_transferred,
        "attempt": row.attempt,
        "crashes": row.crash_count,
    }
    return Sighting(row.id, row.lease_owner, signs, told)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
