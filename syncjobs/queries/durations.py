"""Reads how long the records of a job took, to say what to expect."""

from __future__ import annotations

import uuid

from django.db import connection
from django.db.models import QuerySet

from syncjobs.core.deadlines import Past
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger

LATEST = 20  # records that are looked at

# From each claim to the next event that ended it. The latest claim of a running record has none yet. What only
# found out that there is no room for the plan, or nobody there, is no work.
_SPENT = """
SELECT coalesce(sum(extract(epoch FROM ended.at - claimed.at)), 0)::float
  FROM events_syncevent claimed
 CROSS JOIN LATERAL (
       SELECT at, data FROM events_syncevent e
        WHERE e.record_id = claimed.record_id AND e.id > claimed.id
          AND e.from_state = 'running' AND e.to_state <> 'running'
        ORDER BY e.id LIMIT 1) ended
 WHERE claimed.record_id = %s AND claimed.event = 'claimed'
   AND ended.data ->> 'waits' IS NULL
"""


def read_history(job_id: uuid.UUID, mode: str) -> list[Past]:
    """The job's latest successful records of one mode, those that needed one attempt only: what the
    others waited in between is no work."""
    rows = _succeeded(job_id).filter(mode=mode, attempt=1, tries_until=None)[:LATEST]
    return [Past(row.worked_s, row.total_files or 0) for row in rows if row.worked_s is not None]


def spent_s(record_id: uuid.UUID) -> float:
    """What the attempts of a record that have ended worked, together."""
    with connection.cursor() as cursor:
        cursor.execute(_SPENT, [record_id])
        row: tuple[float] = cursor.fetchone()
    return row[0]


def _succeeded(job_id: uuid.UUID) -> QuerySet[SyncRecord]:
    whole = SyncRecord.objects.exclude(trigger=Trigger.REDRIVE)
    return whole.filter(
        job_id=job_id,
        state__in=[State.SUCCEEDED, State.PARTIAL],
        started_at__isnull=False,
    ).order_by("-queued_at")
