"""Batches that have ended and the log of deliveries go after 30 days; dead letters stay until they are sent again."""

from __future__ import annotations

from django.db import connection

KEPT_DAYS = 30
AT_ONCE = 5_000

_DROPS = (
    """DELETE FROM outbox_delivery WHERE id IN (
           SELECT id FROM outbox_delivery WHERE at < now() - make_interval(days => %s) ORDER BY id LIMIT %s)""",
    """DELETE FROM outbox_batch WHERE id IN (
           SELECT id FROM outbox_batch WHERE state <> 'open' AND ended_at < now() - make_interval(days => %s) LIMIT %s)""",
    """DELETE FROM outbox_deadletter WHERE id IN (
           SELECT id FROM outbox_deadletter WHERE redriven_at < now() - make_interval(days => %s) LIMIT %s)""",
)


def drop_old_deliveries(*, most: int = AT_ONCE) -> int:
    """How many rows went; at most so many of each kind."""
    count = 0
    with connection.cursor() as cursor:
        for drop in _DROPS:
            cursor.execute(drop, [KEPT_DAYS, most])
            count += cursor.rowcount
    return count
