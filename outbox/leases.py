"""The right to deliver a stream: one delivery at a time, by the tail's lease and its token."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from database.rows import fetch_row
from events.writing import NewEvent, write_events
from outbox.models import Stream
from syncjobs.leases.leased import Leased

LEASE_EXPIRED = "stream_lease_expired"
_LOST = "the delivery has ended without a word: the batch that it had in hand may have been taken"


def _tell_expired(stream_ids: Sequence[Any]) -> None:
    found = Stream.objects.filter(pk__in=stream_ids).values_list("pk", "workspace_id")
    write_events([
        NewEvent(event=LEASE_EXPIRED, workspace_id=owner, stream_id=pk, reason=_LOST) for pk, owner in found
    ])  # fmt: skip


TAILS = Leased(
    table="outbox_streamtail",
    key="stream_id",
    frees=("in_doubt = true", "rung_at = NULL"),
    on_freed=_tell_expired,
)

_CLAIM = """
WITH free AS (
    SELECT t.stream_id, t.lease_owner IS NOT NULL AS ran_out, t.lease_owner IS NOT NULL OR t.in_doubt AS took_over
      FROM outbox_streamtail t
      JOIN outbox_stream s ON s.id = t.stream_id
      JOIN connectors_connector c ON c.id = s.client_id
     WHERE t.stream_id = %(stream)s AND s.state = 'running' AND c.status = 'active'
       AND (t.lease_expires_at IS NULL OR t.lease_expires_at < now())
       AND (t.not_before IS NULL OR t.not_before <= now())
       FOR UPDATE OF t SKIP LOCKED)
UPDATE outbox_streamtail t
   SET token = t.token + 1, lease_owner = %(owner)s, not_before = NULL, waiting_for = '', rung_at = NULL, in_doubt = false,
       lease_expires_at = now() + make_interval(secs => %(lease_s)s)
  FROM free WHERE t.stream_id = free.stream_id
RETURNING t.stream_id AS key, t.token, free.ran_out, free.took_over
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
    """A stream that was claimed. `took_over`: from a delivery that has not said how it ended; `ran_out`: and its lease
    was found so just now."""

    key: uuid.UUID
    token: int
    ran_out: bool
    took_over: bool


def claim_stream(stream_id: uuid.UUID, owner: str) -> HeldStream | None:
    """Returns None if there is nothing to do now: stopped, paused, at work elsewhere, or waiting."""
    told: dict[str, Any] = {"stream": stream_id, "owner": owner, "lease_s": settings.SYNC.lease_s}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, told)
        held = fetch_row(cursor, HeldStream)
        if held is not None and held.ran_out:
            _tell_expired([held.key])
    return held


def release_stream(held: HeldStream, *, in_doubt: bool = False) -> None:
    """`in_doubt`: a batch was sent, and what became of it was not written down."""
    with connection.cursor() as cursor:
        cursor.execute(_ABANDON if in_doubt else _RELEASE, [held.key, held.token])
