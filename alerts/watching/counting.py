"""Counts ended records for rules of an error rate, in small parts of each rule's window, as they end."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.db import connection

from alerts.models import AlertRule

PARTS = 60  # of a window
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ADD = """
INSERT INTO alerts_endedcount AS k (rule_id, since, ended, failed)
SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::int[], %s::int[])
    ON CONFLICT (rule_id, since) DO UPDATE SET ended = k.ended + excluded.ended, failed = k.failed + excluded.failed
"""
_DROP = """
DELETE FROM alerts_endedcount WHERE (rule_id, since) IN (
    SELECT k.rule_id, k.since FROM alerts_endedcount k JOIN alerts_alertrule r ON r.id = k.rule_id
     WHERE r.kind <> 'error_rate' OR NOT r.enabled
        OR k.since < now() - make_interval(secs => (r.params ->> 'window_s')::float8)
     ORDER BY k.rule_id, k.since FOR UPDATE OF k)
"""


def count_ended(ended: Iterable[tuple[AlertRule, datetime, bool]]) -> None:
    """Each with its rule, when it ended, and whether it failed."""
    counts: dict[tuple[uuid.UUID, datetime], list[int]] = defaultdict(lambda: [0, 0])
    for rule, at, failed in ended:
        count = counts[rule.pk, _find_part(rule, at)]
        count[0] += 1
        count[1] += failed
    if counts:
        columns = [(*key, *count) for key, count in sorted(counts.items())]
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [list(column) for column in zip(*columns, strict=True)])


def drop_old_counts() -> None:
    """Those that no window reaches any more."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP)


def _find_part(rule: AlertRule, at: datetime) -> datetime:
    length = timedelta(seconds=max(1, int(rule.params.get("window_s") or 0) // PARTS))
    return _EPOCH + (at - _EPOCH) // length * length
