"""Totals of what records did: counters that only rise, at a cost that does not grow with the records.

They are summed from the events, a batch at a time in the order of their ids, by one caller at once:

- Not at scrape time from the records: that reads the whole table, and falls whenever records go.
- Not in the transaction that ends a record: every worker would queue for the same few rows.
- By id, because events have one, and an index on it, and each final move writes exactly one.

An id says when an event was begun, not when it was committed: a later one may be visible before it. So
events are counted up to an id only when every transaction that was under way when that id was seen has
ended. PostgreSQL tells by transaction numbers: the mark keeps the highest id that was visible, and then
a number drawn after that look, which is above those of all transactions that had written anything (a
record is locked before its event gets its id). Once every running transaction has a higher number, all
ids up to the mark are either visible or never will be.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from syncjobs.core.states import FINAL
from syncjobs.models import DURATION_BOUNDS_S, CountingMark

_AT_ONCE = 20_000  # ids in one transaction
_BATCHES = 10  # in one call
_LOCK = 7_236_001  # of pg_try_advisory_xact_lock: one that draws no transaction number

_FILES = ("added", "changed", "removed", "unchanged", "failed", "skipped", "deferred", "cleared")
_SUMMED = ("bytes_transferred", *(f"files_{name}" for name in _FILES))

_SETTLED = """
SELECT counted_id, seen_id,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint > seen_xid,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint <= seen_xid
  FROM syncjobs_countingmark WHERE id = 1
"""
_BUCKETS = ", ".join(
    f"count(*) FILTER (WHERE b.bucket = {number})" for number in range(len(DURATION_BOUNDS_S) + 1)
)
_COUNT = f"""
INSERT INTO syncjobs_eventtotal AS t
       (workspace_id, kind, event, records, {", ".join(_SUMMED)}, duration_s, durations)
SELECT r.workspace_id, c.kind, e.event, count(*),
       {", ".join(f"coalesce(sum(r.{name}) FILTER (WHERE f.ended), 0)" for name in _SUMMED)},
       coalesce(sum(b.took_s), 0), ARRAY[{_BUCKETS}]
  FROM syncjobs_syncevent e
  JOIN syncjobs_syncrecord r ON r.id = e.record_id
  JOIN connectors_connector c ON c.id = r.connector_id
 CROSS JOIN LATERAL (SELECT e.to_state = ANY(%(final)s) AND NOT r.dry_run AS ended) f
 CROSS JOIN LATERAL (SELECT CASE WHEN f.ended AND r.started_at IS NOT NULL THEN
        greatest(extract(epoch FROM r.finished_at - r.started_at), 0) END AS took_s) d
 CROSS JOIN LATERAL (SELECT d.took_s,
        CASE WHEN d.took_s IS NOT NULL THEN (
          SELECT count(*) FROM unnest(%(bounds)s::float[]) AS bound WHERE bound < d.took_s
        ) END AS bucket) b
 WHERE e.id > %(counted)s AND e.id <= %(upto)s AND e.from_state <> e.to_state
 GROUP BY 1, 2, 3
ON CONFLICT (workspace_id, kind, event) DO UPDATE SET
  records = t.records + excluded.records, duration_s = t.duration_s + excluded.duration_s,
  {", ".join(f"{name} = t.{name} + excluded.{name}" for name in _SUMMED)},
  durations = ARRAY(SELECT old + new FROM unnest(t.durations, excluded.durations)
                      WITH ORDINALITY AS u(old, new, place) ORDER BY place)
"""  # noqa: S608 — made of this module's own names and numbers
_ADVANCE = "UPDATE syncjobs_countingmark SET counted_id = %s WHERE id = 1"
_HIGHEST = "SELECT coalesce(max(id), 0) FROM syncjobs_syncevent"
_NUMBER = "SELECT pg_current_xact_id()::text::bigint"
_MARK = "UPDATE syncjobs_countingmark SET seen_id = %s, seen_xid = %s WHERE id = 1"


def count_events() -> int:
    """Counts what is settled, and marks what is to be settled next; how many ids were gone through."""
    CountingMark.objects.get_or_create(pk=1)
    counted = 0
    for _ in range(_BATCHES):
        step = _count_some() or (_mark() and _count_some())
        if not step:
            break
        counted += step
    return counted


def _count_some() -> int:
    """One batch; 0 where nothing is settled, or another caller is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not _is_alone(cursor):
            return 0
        cursor.execute(_SETTLED)
        counted_id, seen_id, settled, _ = cursor.fetchone()
        upto = min(seen_id, counted_id + _AT_ONCE)
        if not settled or upto <= counted_id:
            return 0
        cursor.execute(
            _COUNT,
            {
                "counted": counted_id,
                "upto": upto,
                "final": sorted(FINAL),
                "bounds": list(DURATION_BOUNDS_S),
            },
        )
        cursor.execute(_ADVANCE, [upto])
        return int(upto - counted_id)


def _mark() -> bool:
    """Whether there is a new mark: the last one is used up, or is of another cluster (a restored dump)."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not _is_alone(cursor):
            return False
        cursor.execute(_SETTLED)
        counted_id, seen_id, _, foreign = cursor.fetchone()
        cursor.execute(_HIGHEST)
        (highest,) = cursor.fetchone()
        if highest <= counted_id or (counted_id < seen_id and not foreign):
            return False
        cursor.execute(_NUMBER)  # after the look at the ids, and this transaction's first
        (number,) = cursor.fetchone()
        cursor.execute(_MARK, [highest, number])
        return True


def _is_alone(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
    (alone,) = cursor.fetchone()
    return bool(alone)
