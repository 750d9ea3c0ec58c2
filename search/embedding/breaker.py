"""The breaker of a workspace's embedding service: after a failure nobody asks before the time that it names.

A transient failure is tried again after 5, 10, 20, then every 30 seconds, so that a service that is back is found within
a minute. One that a person must mend blocks, and is tried every 5 minutes, or at once when the settings change. A service
that limits us has not failed: it gets the rest that it asked for.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.db import connection

from database.rows import fetch_row
from search.embedding.contract import EmbedFailed

FIRST_S, MOST_S = 5.0, 30.0
BLOCKED_S = 300.0
LIMITED_S = 15.0  # where the service does not say for how long
LIMITED_MAX_S = 3_600.0

_FIND = """
SELECT failures, coalesce(not_before > now(), false) AS is_open, not_before, code, detail, needs_person, most
  FROM search_embeddingstate WHERE workspace_id = %s
"""
# A service that limits us is no outage.
_OUTAGE = """
SELECT s.code || ': ' || s.detail FROM search_datasetindex i
  JOIN search_embeddingstate s ON s.workspace_id = i.workspace_id AND (s.failures > 0 OR s.needs_person)
 WHERE i.dataset_id = %s AND i.wish = 'words_and_meaning' AND i.pending_chunks > 0
"""
_FAIL = """
INSERT INTO search_embeddingstate AS s (workspace_id, failures, not_before, code, detail, needs_person, most)
VALUES (%(workspace)s, %(failure)s, now() + make_interval(secs => %(first_s)s), %(code)s, %(detail)s, %(blocked)s,
        %(most)s)
ON CONFLICT (workspace_id) DO UPDATE SET
  failures = s.failures + %(failure)s, code = %(code)s, detail = %(detail)s, needs_person = %(blocked)s,
  most = coalesce(%(most)s, s.most),
  not_before = now() + make_interval(secs => least(%(most_s)s, %(first_s)s * 2 ^ least(s.failures, 10)))
"""
_SUCCEED = """
INSERT INTO search_embeddingstate AS s (workspace_id, failures, code, detail, needs_person, most)
VALUES (%(workspace)s, 0, '', '', false, %(most)s)
ON CONFLICT (workspace_id) DO UPDATE
  SET failures = 0, not_before = NULL, code = '', detail = '', needs_person = false, most = %(most)s
"""
_COUNT = """
INSERT INTO search_embeddingcount AS c (workspace_id, outcome, total) VALUES (%s, %s, %s)
ON CONFLICT (workspace_id, outcome) DO UPDATE SET total = c.total + excluded.total
"""


@dataclass(frozen=True, slots=True)
class BreakerState:
    """`is_open`: nobody asks now. `most`: how many texts the service takes at once, where that was learned."""

    failures: int = 0
    is_open: bool = False
    not_before: datetime | None = None
    code: str = ""
    detail: str = ""
    needs_person: bool = False
    most: int | None = None

    @property
    def reason(self) -> str:
        return f"{self.code}: {self.detail}" if self.code else ""


def close_breaker(workspace_id: uuid.UUID) -> None:
    """What is known of the service is forgotten: it is another one now."""
    note_embed_success(workspace_id, most=None)


def find_breaker(workspace_id: uuid.UUID) -> BreakerState:
    with connection.cursor() as cursor:
        cursor.execute(_FIND, [workspace_id])
        return fetch_row(cursor, BreakerState) or BreakerState()


def find_outage(session: psycopg.Connection[Any], dataset_id: uuid.UUID) -> str:
    """Why chunks of the dataset get no vectors now; empty where none waits, or the service works as far as is known."""
    found = session.execute(_OUTAGE, [dataset_id]).fetchone()
    return "" if found is None else str(found[0])


def note_embed_failure(
    workspace_id: uuid.UUID, failure: EmbedFailed, *, most: int | None = None
) -> None:
    """`most`: of how many texts at most the next batch is, None: as before."""
    first_s, most_s = FIRST_S, MOST_S
    if not failure.is_failure:
        first_s = most_s = min(failure.retry_after_s or LIMITED_S, LIMITED_MAX_S)
    elif failure.is_permanent:
        first_s = most_s = BLOCKED_S
    told: dict[str, Any] = {
        "workspace": workspace_id,
        "most": most,
        "failure": int(failure.is_failure),
        "first_s": first_s,
        "most_s": most_s,
        "code": failure.code.value,
        "detail": failure.detail[:1_000],
        "blocked": failure.is_permanent,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FAIL, told)


def note_embed_success(workspace_id: uuid.UUID, *, most: int | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SUCCEED, {"workspace": workspace_id, "most": most})


def count_requests(workspace_id: uuid.UUID, counts: Mapping[str, int]) -> None:
    """Adds to the totals that /metrics shows."""
    with connection.cursor() as cursor:
        # In one order, so that two who count do not wait for each other.
        for outcome in sorted(counts):
            cursor.execute(_COUNT, [workspace_id, outcome, counts[outcome]])
