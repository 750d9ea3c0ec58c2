"""Counts tries by their outcome: totals that only rise, for /metrics."""

from __future__ import annotations

import uuid

from django.db import connection

from alerts.core.words import DeliveryOutcome

_ADD = """
INSERT INTO alerts_alertdeliverytotal AS t (workspace_id, outcome, total) VALUES (%s, %s, %s)
ON CONFLICT (workspace_id, outcome) DO UPDATE SET total = t.total + excluded.total
"""


def add_to_totals(workspace_id: uuid.UUID, outcome: DeliveryOutcome, count: int = 1) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [workspace_id, outcome.value, count])
