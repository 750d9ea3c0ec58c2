"""What Prometheus asks of alerts, of one workspace or of each."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from alerts.core.words import DeliveryOutcome, Severity
from database.rows import Cursor, fetch_rows

_FIRING = """
SELECT w.name AS workspace, a.severity AS word, count(*) AS number FROM alerts_alert a JOIN workspaces_workspace w ON w.id = a.workspace_id
 WHERE a.firing AND (a.silenced_until IS NULL OR a.silenced_until <= now()) AND {mine} GROUP BY 1, 2
"""
_TOTALS = """
SELECT w.name AS workspace, t.outcome AS word, t.total AS number
  FROM alerts_alertdeliverytotal t JOIN workspaces_workspace w ON w.id = t.workspace_id WHERE {mine}
"""
# What is due and has no message yet, and messages whose tries have not ended.
_OLDEST = """
SELECT w.name, coalesce(extract(epoch FROM now() - min(o.since)), 0)::float
  FROM workspaces_workspace w
  LEFT JOIN alerts_alertchannel c ON c.workspace_id = w.id AND c.enabled
  LEFT JOIN LATERAL (
    SELECT min(n.due_at) AS since FROM alerts_notification n
     WHERE n.channel_id = c.id AND n.message_id IS NULL AND n.due_at <= now()
    UNION ALL
    SELECT min(m.made_at) FROM alerts_alertmessage m WHERE m.channel_id = c.id AND m.ended_at IS NULL) o ON true
 WHERE {mine} GROUP BY w.id ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class _Counted:
    workspace: str
    word: str
    number: int


@dataclass(frozen=True, slots=True)
class AlertFigures:
    """Of one workspace. `firing` is by severity, `deliveries` by outcome since the first day; each of them from 0 on.
    `oldest_undelivered_s` is 0 where nothing waits."""

    workspace: str
    firing: Mapping[str, int]
    deliveries: Mapping[str, int]
    oldest_undelivered_s: float


def read_alert_figures(cursor: Cursor, workspace_id: uuid.UUID | None) -> list[AlertFigures]:
    """By the workspaces' names."""
    mine = "true" if workspace_id is None else "w.id = %(workspace)s"

    def count(statement: str) -> dict[tuple[str, str], int]:
        cursor.execute(statement.format(mine=mine), {"workspace": workspace_id})
        return {(row.workspace, row.word): row.number for row in fetch_rows(cursor, _Counted)}

    firing, deliveries = count(_FIRING), count(_TOTALS)
    cursor.execute(_OLDEST.format(mine=mine), {"workspace": workspace_id})
    return [
        AlertFigures(
            workspace=name,
            firing={one.value: firing.get((name, one), 0) for one in Severity},
            deliveries={one.value: deliveries.get((name, one), 0) for one in DeliveryOutcome},
            oldest_undelivered_s=float(oldest_s),
        )
        for name, oldest_s in cursor.fetchall()
    ]
