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
 CROSS JOIN LATERAL (SELECT CASE WHEN f.ended AND r.started_at IS NOT NULL THEN
        greatest(extract(epoch FROM r.finished_at - r.started_at), 0) END AS took_s) d
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


def count_events() -> bool:
    """Counts what is settled; whether there was anything."""
    return CURSOR.read_all(_count)


def _count(span: Span) -> None:
    wanted: dict[str, Any] = {
        "after": span.after,
        "upto": span.upto,
        "final": sorted(FINAL),
        "bounds": list(DURATION_BOUNDS_S),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, wanted)
