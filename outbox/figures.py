"""A stream's status and statistics, from counters: nothing here counts rows of readings."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from database.rows import Cursor, fetch_rows
from outbox.core.answers import TryEnd
from outbox.models import Stream

_STATUS = """
SELECT s.id AS stream_id, s.name, s.state, s.reason, h.next_seq - 1 - t.done_seq AS queue_size,
       greatest(h.bytes - t.bytes, 0) AS queue_bytes, t.last_sync_at, t.last_sync_success,
       CASE WHEN t.last_sync_success THEN NULL ELSE nullif(t.last_error, '') END AS last_sync_error,
       t.not_before, t.waiting_for, t.lease_owner IS NOT NULL AND t.lease_expires_at > now() AS is_delivering,
       (SELECT extract(epoch FROM now() - g.at)::float8 FROM outbox_segment g
         WHERE g.stream = s.number AND g.seq_to > t.done_seq ORDER BY g.seq_to LIMIT 1) AS oldest_reading_age_s,
       coalesce(sum.readings, 0)::bigint AS total_synced, coalesce(sum.dead, 0)::bigint AS total_failed,
       (SELECT count(*) FROM outbox_deadletter d WHERE d.stream_id = s.id AND d.redriven_at IS NULL) AS dead_letters,
       s.client_id
  FROM outbox_stream s
  JOIN outbox_streamhead h ON h.stream_id = s.id
  JOIN outbox_streamtail t ON t.stream_id = s.id
  LEFT JOIN LATERAL (SELECT sum(readings) AS readings, sum(dead) AS dead FROM outbox_streamhour
                      WHERE stream_id = s.id) sum ON true
 WHERE s.id = ANY(%s) ORDER BY s.name
"""
_FIGURES = """
SELECT w.name AS workspace, s.name AS stream, h.next_seq - 1 - t.done_seq AS queued,
       coalesce((SELECT extract(epoch FROM now() - g.at)::float8 FROM outbox_segment g
                  WHERE g.stream = s.number AND g.seq_to > t.done_seq ORDER BY g.seq_to LIMIT 1), 0)
           AS oldest_reading_s,
       coalesce(sum.syncs - sum.rejected - sum.split - sum.retried - sum.unreachable - sum.paused, 0)::bigint AS delivered,
       coalesce(sum.rejected, 0)::bigint AS rejected, coalesce(sum.split, 0)::bigint AS split,
       coalesce(sum.retried, 0)::bigint AS retried, coalesce(sum.unreachable, 0)::bigint AS unreachable,
       coalesce(sum.paused, 0)::bigint AS paused,
       (SELECT count(*) FROM outbox_deadletter d WHERE d.stream_id = s.id AND d.redriven_at IS NULL) AS dead_letters,
       s.state = 'paused' AS is_paused
  FROM outbox_stream s
  JOIN workspaces_workspace w ON w.id = s.workspace_id
  JOIN outbox_streamhead h ON h.stream_id = s.id
  JOIN outbox_streamtail t ON t.stream_id = s.id
  LEFT JOIN LATERAL (SELECT sum(syncs) AS syncs, sum(rejected) AS rejected, sum(split) AS split, sum(retried) AS retried,
                            sum(unreachable) AS unreachable, sum(paused) AS paused FROM outbox_streamhour
                      WHERE stream_id = s.id) sum ON true
 WHERE %(workspace)s::uuid IS NULL OR s.workspace_id = %(workspace)s ORDER BY 1, 2
"""
_STATS = """
SELECT coalesce(sum(syncs), 0)::bigint AS total_syncs, coalesce(sum(failed), 0)::bigint AS failed_syncs,
       coalesce(sum(readings), 0)::bigint AS total_readings_synced
  FROM outbox_streamhour
 WHERE stream_id = %s AND hour > now() - make_interval(hours => %s)
"""


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """`oldest_reading_age_s` is None where nothing waits."""

    stream_id: Any
    name: str
    state: str
    reason: str
    queue_size: int
    queue_bytes: int
    last_sync_at: datetime | None
    last_sync_success: bool | None
    last_sync_error: str | None
    not_before: datetime | None
    waiting_for: str
    is_delivering: bool
    oldest_reading_age_s: float | None
    total_synced: int
    total_failed: int
    dead_letters: int
    client_id: Any


@dataclass(frozen=True, slots=True)
class Stats:
    total_syncs: int
    failed_syncs: int
    total_readings_synced: int

    @property
    def successful_syncs(self) -> int:
        return self.total_syncs - self.failed_syncs

    @property
    def success_rate(self) -> float:
        """From 0 to 1; 1 where nothing was tried."""
        return self.successful_syncs / self.total_syncs if self.total_syncs else 1.0


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """For metrics. `oldest_reading_s` is 0 where nothing waits."""

    workspace: str
    stream: str
    queued: int
    oldest_reading_s: float
    delivered: int  # and the next ones: tries of batches since the first day, by TryEnd
    rejected: int
    split: int
    retried: int
    unreachable: int
    paused: int
    dead_letters: int
    is_paused: bool

    @property
    def ends(self) -> dict[str, int]:
        return {end.value: getattr(self, end.value) for end in TryEnd}


def read_stream_figures(
    cursor: Cursor, workspace_id: uuid.UUID | None = None
) -> list[StreamFigures]:
    """Of one workspace, or of the whole installation."""
    cursor.execute(_FIGURES, {"workspace": workspace_id})
    return fetch_rows(cursor, StreamFigures)


def read_statuses(streams: Sequence[Stream]) -> list[StreamStatus]:
    with connection.cursor() as cursor:
        cursor.execute(_STATUS, [[stream.pk for stream in streams]])
        return fetch_rows(cursor, StreamStatus)


def read_status(stream: Stream) -> StreamStatus:
    (status,) = read_statuses([stream])
    return status


def read_stats(stream: Stream, hours: int) -> Stats:
    with connection.cursor() as cursor:
        cursor.execute(_STATS, [stream.pk, hours])
        (stats,) = fetch_rows(cursor, Stats)
    return stats
