"""Says how an index stands once somebody has worked on it."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

# An index that stands as it stood is not written.
_SETTLE = """
WITH held AS (
    SELECT i.*, i.wish = 'off' AS is_off,
           i.wish <> 'off' AND NOT i.emptying AND i.pending_texts = 0 AND i.pending_chunks = 0
           AND i.indexed_version IS NOT DISTINCT FROM i.published_version AS is_current
      FROM search_datasetindex i WHERE i.dataset_id = %(dataset)s FOR UPDATE),
said AS (
    SELECT dataset_id, pending_texts,
           CASE WHEN is_off THEN 'off' WHEN is_current THEN 'current'
                WHEN state = 'blocked' AND pending_chunks > 0 THEN 'blocked' ELSE 'catching_up' END AS state,
           CASE WHEN NOT is_off AND NOT is_current THEN coalesce(since, clock_timestamp()) END AS since,
           CASE WHEN is_off OR is_current THEN '' WHEN %(reason)s::text <> '' THEN %(reason)s::text
                WHEN pending_texts = 0 AND pending_chunks > 0 THEN reason ELSE '' END AS reason,
           CASE WHEN %(after_s)s::float > 0 AND NOT is_off AND NOT is_current
                THEN clock_timestamp() + make_interval(secs => %(after_s)s::float) END AS not_before
      FROM held),
written AS (
    UPDATE search_datasetindex i
       SET state = said.state, since = said.since, reason = said.reason, not_before = said.not_before
      FROM said
     WHERE i.dataset_id = said.dataset_id
       AND (i.state, i.since, i.reason, i.not_before)
           IS DISTINCT FROM (said.state, said.since, said.reason, said.not_before))
SELECT pending_texts FROM said
"""


def settle_index(
    session: psycopg.Connection[Any], dataset_id: uuid.UUID, *, reason: str = "", after_s: float = 0
) -> int:
    """Sets the state of an index by what it still lacks; the number of its pending texts.

    `reason` says why something is left, and `after_s` how long the queue is to wait before it looks again; an index
    that lacks nothing has neither."""
    parameters = {"dataset": dataset_id, "reason": reason[:2_000], "after_s": after_s}
    found = session.execute(_SETTLE, parameters).fetchone()
    return 0 if found is None else int(found[0])
