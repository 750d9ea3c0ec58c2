"""A far end that is back gets the records that waited for it, each after a moment of its own."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import connection

from farends.errors import ConnectionLost, NameNotResolved, Stalled, Unreachable

WITHIN_S = 5.0
AWAY = [kind.code for kind in (Unreachable, NameNotResolved, ConnectionLost, Stalled)]

_CLOSE_CIRCUITS = """
UPDATE connectors_hostbudget SET opened_until = NULL, failures = 0 WHERE id IN (
    SELECT b.id FROM connectors_hostbudget b JOIN connectors_connector c ON b.workspace_id = c.workspace_id
     WHERE c.id = ANY(%(connectors)s) AND b.address = lower(c.host) || ':' || c.port AND b.failures > 0
     ORDER BY b.id FOR NO KEY UPDATE OF b)
"""
_WAKE = """
UPDATE syncjobs_syncrecord
   SET not_before = now() + make_interval(secs => random() * %(within_s)s), rung_at = NULL
 WHERE id IN (
    SELECT r.id FROM syncjobs_syncrecord r
     WHERE r.connector_id = ANY(%(connectors)s) AND r.state = 'queued' AND r.error_code = ANY(%(away)s)
       AND r.not_before > now()
     ORDER BY r.id FOR NO KEY UPDATE)
"""


def wake_records(connector_ids: Sequence[uuid.UUID]) -> int:
    """Wakes records in the caller's transaction; returns how many."""
    told: dict[str, Any] = {"connectors": list(connector_ids), "within_s": WITHIN_S, "away": AWAY}
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE_CIRCUITS, told)
        cursor.execute(_WAKE, told)
        return int(cursor.rowcount)
