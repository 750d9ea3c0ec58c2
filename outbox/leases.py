"""The right to deliver a stream: one delivery at a time, by the tail's lease and its token."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from database.rows import fetch_row
from syncjobs.leases.leased import Leased

TAILS = Leased(table="outbox_streamtail", key="stream_id")

_CLAIM = """
WITH free AS (
    SELECT t.stream_id, t.lease_owner IS NOT NULL AS took_over
      FROM outbox_streamtail t
      JOIN outbox_stream s ON s.id = t.stream_id
      JOIN connectors_connector c ON c.id = s.client_id
     WHERE t.stream_id = %(stream)s AND s.state = 'running' AND c.status = 'active'
       AND (t.lease_expires_at IS NULL OR t.lease_expires_at < now())
       AND (t.not_before IS NULL OR t.not_before <= now())
       FOR UPDATE OF t SKIP LOCKED)
UPDATE outbox_streamtail t
   SET token = t.token + 1, lease_owner = %(owner)s, not_before = NULL, waiting_for = '', rung_at = NULL,
       lease_expires_at = now() + make_interval(secs => %(lease_s)s)
  FROM free WHERE t.stream_id = free.stream_id
RETURNING t.stream_id AS key, t.token, free.took_over
"""
_RELEASE = """
UPDATE outbox_streamtail SET lease_owner = NULL, lease_expires_at = NULL
 WHERE stream_id = %s AND token = %s
"""
# As if the process had died: whoever comes next takes over.
_ABANDON = (
    "UPDATE outbox_streamtail SET lease_expires_at = now() WHERE stream_id = %s AND token = %s"
)


@dataclass(frozen=True, slots=True)
class HeldStream:
    """A stream that was claimed. `took_over`: from a delivery that has not said how it ended."""

    key: uuid.UUID
    token: int
    took_over: bool


def claim_stream(stream_id: uuid.UUID, owner: str) -> HeldStream | None:
    """Returns None if there is nothing to do now: stopped, paused, at work elsewhere, or waiting."""
    told: dict[str, Any] = {"stream": stream_id, "owner": owner, "lease_s": settings.SYNC.lease_s}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, told)
        return fetch_row(cursor, HeldStream)


def release_stream(held: HeldStream, *, in_doubt: bool = False) -> None:
    """`in_doubt`: a batch was sent, and what became of it was not written down."""
    with connection.cursor() as cursor:
        cursor.execute(_ABANDON if in_doubt else _RELEASE, [held.key, held.token])
