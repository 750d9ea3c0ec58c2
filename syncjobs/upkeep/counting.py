"""Totals of what records did: counters that only rise, at a cost that does not grow with the records.

They are summed from the events, a batch at a time, through a cursor of their own:

- Not at scrape time from the records: that reads the whole table, and falls whenever records go.
- Not in the transaction that ends a record: every worker would queue for the same few rows.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from events.cursors import EventCursor, Span
from syncjobs.core.states import FINAL
from syncjobs.models import DURATION_BOUNDS_S

CURSOR = EventCursor("metrics")

_FILES = ("added", "changed", "removed", "unchanged", "failed", "skipped", "deferred", "cleared")
_ROWS = ("read", "added", "changed", "removed", "unchanged", "failed")
_SUMMED = (
    "bytes_transferred",
    *(f"files_{name}" for name in _FILES),
    *(f"rows_{name}" for name in _ROWS),
)

_BUCKETS = ", ".join(
    f"count(*) FILTER (WHERE b.bucket = {number})" for number in range(len(DURATION_BOUNDS_S) + 1)
)
_COUNT = f"""
INSERT INTO syncjobs_eventtotal AS t
       (workspace_id, kind, event, records, {", ".join(_SUMMED)}, duration_s, durations)
SELECT r.workspace_id, coalesce(c.kind, 'dataset'), e.event, count(*),
       {", ".join(f"coalesce(sum(r.{name}) FILTER (WHERE f.ended), 0)" for name in _SUMMED)},
       coalesce(sum(b.took_s), 0), ARRAY[{_BUCKETS}]
  FROM events_syncevent e
  JOIN syncjobs_syncrecord r ON r.id = e.record_id
  LEFT JOIN connectors_connector c ON c.id = r.connector_id
 CROSS JOIN LATERAL (SELECT e.to_state = ANY(%(final)s) AS ended) f
 CROSS JOIN LATERAL (SELECT CASE WHEN f.ended AND r.worked_s IS NOT NULL THEN
        greatest(r.worked_s, 0) END AS took_s) d
 CROSS JOIN LATERAL (SELECT d.took_s,
        CASE WHEN d.took_s IS NOT NULL THEN (
          SELECT count(*) FROM unnest(%(bounds)s::float[]) AS bound WHERE bound < d.took_s
        ) END AS bucket) b
 WHERE e.id > %(after)s AND e.id <= %(upto)s AND e.from_state <> e.to_state AND NOT r.dry_run
 GROUP BY 1, 2, 3
ON CONFLICT (workspace_id, kind, event) DO UPDATE SET
  records = t.records + excluded.records, duration_s = t.duration_s + excluded.duration_s,
  {", ".join(f"{name} = t.{name} + excluded.{name}" for name in _SUMMED)},
  durations = ARRAY(SELECT old + new FROM unnest(t.durations, excluded.durations)
                      WITH ORDINALITY AS u(old, new, place) ORDER BY place)
"""  # noqa: S608 — made of this module's own names and numbers

_COUNT_HOURS = """
INSERT INTO syncjobs_hourtotal AS t (workspace_id, hour, state, records, files, bytes_transferred, held_bytes)
SELECT r.workspace_id, date_trunc('hour', e.at, 'UTC'),
       CASE WHEN e.to_state = 'succeeded' AND r.verdict = 'suspect' THEN 'suspect' ELSE e.to_state END,
       count(*), coalesce(sum(r.files_added + r.files_changed) FILTER (WHERE f.ended), 0),
       coalesce(sum(r.bytes_transferred) FILTER (WHERE f.ended), 0),
       coalesce(sum(v.size_bytes - coalesce(before.size_bytes, 0)) FILTER (WHERE f.ended), 0)
  FROM events_syncevent e
  JOIN syncjobs_syncrecord r ON r.id = e.record_id
  LEFT JOIN syncjobs_syncjob j ON j.id = r.job_id
  LEFT JOIN datasets_version v ON v.dataset_id = j.dataset_id AND v.number = r.dataset_version
        AND v.record_id = r.id
  LEFT JOIN datasets_version before ON before.dataset_id = v.dataset_id AND before.number = v.number - 1
 CROSS JOIN LATERAL (SELECT e.to_state = ANY(%(final)s) AS ended) f
 WHERE e.id > %(after)s AND e.id <= %(upto)s AND e.from_state <> e.to_state AND NOT r.dry_run
   AND (f.ended OR e.to_state = 'held') AND e.at > now() - make_interval(days => %(kept_days)s)
 GROUP BY 1, 2, 3
ON CONFLICT (workspace_id, hour, state) DO UPDATE SET
  records = t.records + excluded.records, files = t.files + excluded.files,
  bytes_transferred = t.bytes_transferred + excluded.bytes_transferred,
  held_bytes = t.held_bytes + excluded.held_bytes
"""
_FORGET_HOURS = (
    "DELETE FROM syncjobs_hourtotal WHERE hour < now() - make_interval(days => %(kept_days)s)"
)
KEPT_DAYS = 62  # of hours: the longest chart shows 30 days


def count_events() -> bool:
    """Counts what is settled; whether there was anything."""
    return CURSOR.read_all(_count)


def _count(span: Span) -> None:
    wanted: dict[str, Any] = {
        "after": span.after,
        "upto": span.upto,
        "final": sorted(FINAL),
        "bounds": list(DURATION_BOUNDS_S),
        "kept_days": KEPT_DAYS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, wanted)
        cursor.execute(_COUNT_HOURS, wanted)
        cursor.execute(_FORGET_HOURS, wanted)
