"""What the last days brought, for charts: from totals by hour, so that a million records cost what a hundred do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from database.rows import fetch_rows

DAYS = 30

_HISTORY = """
WITH held AS (
  SELECT coalesce(sum(v.size_bytes), 0)::bigint AS held_now_bytes FROM datasets_version v
    JOIN datasets_dataset d ON d.id = v.dataset_id WHERE v.is_current AND {dataset_mine}
), hours AS (
  SELECT hour, state, sum(records)::bigint AS records, sum(files)::bigint AS files,
         sum(bytes_transferred)::bigint AS bytes_transferred, sum(held_bytes)::bigint AS held_bytes
    FROM syncjobs_hourtotal
   WHERE hour > now() - make_interval(days => %(days)s) AND {mine}
   GROUP BY hour, state
)
SELECT held_now_bytes, coalesce(hour, now()) AS hour, coalesce(state, '') AS state, coalesce(records, 0) AS records,
       coalesce(files, 0) AS files, coalesce(bytes_transferred, 0) AS bytes_transferred,
       coalesce(held_bytes, 0) AS held_bytes
  FROM held LEFT JOIN hours ON TRUE
"""


@dataclass(frozen=True, slots=True)
class HourOfState:
    """What ended in this state (or was held, or suspect) within the hour that began then."""

    hour: datetime
    state: str
    records: int
    files: int
    bytes_transferred: int
    held_bytes: int
    held_now_bytes: int  # in current versions, whatever the hour


@dataclass(frozen=True, slots=True)
class History:
    hours: Sequence[HourOfState]  # of the last DAYS days, in no order
    held_now_bytes: int  # in current versions


def read_history_of_days(workspaces: Sequence[uuid.UUID] | None) -> History:
    """`workspaces` None means all."""
    words: dict[str, Any] = {"workspaces": workspaces, "days": DAYS}
    mine, dataset_mine = _mine("workspace_id", workspaces), _mine("d.workspace_id", workspaces)
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY.format(mine=mine, dataset_mine=dataset_mine), words)
        rows = fetch_rows(cursor, HourOfState)
    # Where nothing ended there is one row, of no state.
    return History([row for row in rows if row.state], rows[0].held_now_bytes)


def _mine(column: str, workspaces: Sequence[uuid.UUID] | None) -> str:
    return "true" if workspaces is None else f"{column} = ANY(%(workspaces)s)"
