"""Reads the signs of life of the installation's parts, in three small statements."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from database.rows import Cursor, fetch_rows
from syncjobs.core.watching import (
    SEEN_WITHIN_S,
    PartHealth,
    PartSigns,
    allow_between_sweeps_s,
    judge_parts,
)
from syncjobs.models import ProcessSign

# Of each workspace the longest waiting due records, from the index `record_waiting`: a queue of any length
# makes this no slower. A record that was claimed before waits since it came back, which its last events
# tell. Who waits for nothing but a worker says so, or is a retry whose time has come; and it is being rung
# for, else a limit keeps its bell silent.
_LOOKED_AT = 20
_SPANS = """
WITH RECURSIVE spaces AS (
   (SELECT workspace_id FROM syncjobs_syncrecord WHERE state = 'queued' {mine}
     ORDER BY workspace_id LIMIT 1)
  UNION ALL
   SELECT (SELECT workspace_id FROM syncjobs_syncrecord
            WHERE state = 'queued' AND workspace_id > s.workspace_id {mine}
            ORDER BY workspace_id LIMIT 1)
     FROM spaces s WHERE s.workspace_id IS NOT NULL
 ), spans AS (
  SELECT spaces.workspace_id, w.*, extract(epoch FROM now() - coalesce(
       w.not_before,
       CASE WHEN w.started_at IS NOT NULL THEN (
         SELECT max(e.at) FROM (SELECT at, from_state, to_state FROM events_syncevent
                                 WHERE record_id = w.id ORDER BY id DESC LIMIT 50) e
          WHERE e.to_state = 'queued' AND e.from_state <> 'queued') END,
       w.queued_at)) AS waited_s
   FROM spaces CROSS JOIN LATERAL (
     SELECT id, job_id, waiting_for, rung_at, started_at, not_before, queued_at
       FROM syncjobs_syncrecord
      WHERE state = 'queued' AND workspace_id = spaces.workspace_id
        AND (not_before IS NULL OR not_before <= now())
      ORDER BY coalesce(not_before, queued_at) LIMIT {limit}) w
 )
"""
_OLDEST = f"""{_SPANS}
 SELECT max(waited_s), max(waited_s) FILTER (
          WHERE (waiting_for = 'a worker' OR waiting_for LIKE 'its next attempt%%')
            AND rung_at > now() - interval '90 s'
            AND NOT EXISTS (SELECT FROM syncjobs_syncrecord r
                             WHERE r.job_id = spans.job_id AND r.state = 'running'))
   FROM spans
"""  # noqa: S608 — made of this module's own text
_OLDEST_EACH = f"{_SPANS} SELECT workspace_id, max(waited_s) FROM spans GROUP BY 1"  # noqa: S608
_PULSES = "SELECT part, extract(epoch FROM now() - at) FROM syncjobs_pulse"
_WORKERS = """
SELECT count(*) FILTER (WHERE alive) AS workers, count(*) FILTER (WHERE alive AND draining) AS draining,
       count(*) FILTER (WHERE NOT alive AND NOT EXISTS (
         SELECT FROM syncjobs_processsign newer
          WHERE newer.part = 'worker' AND newer.host = w.host AND newer.started_at > w.seen_at)) AS silent,
       coalesce(sum(slots) FILTER (WHERE alive AND NOT draining AND store_id = known), 0) AS slots,
       coalesce(sum(running) FILTER (WHERE alive AND NOT draining AND store_id = known), 0) AS busy,
       extract(epoch FROM now() - max(seen_at)) AS worker_s,
       count(*) FILTER (WHERE alive AND store_id IS NULL) AS without_store,
       count(*) FILTER (WHERE alive AND store_id IS DISTINCT FROM known AND store_id IS NOT NULL)
         AS with_another_store,
       (SELECT halted FROM syncjobs_processsign  -- of any part, beat too
         WHERE halted <> '' AND seen_at > now() - make_interval(secs => %(within_s)s)
         ORDER BY seen_at DESC LIMIT 1) AS halted
  FROM (SELECT *, seen_at > now() - make_interval(secs => %(within_s)s) AS alive,
               (SELECT i.store_id FROM datasets_installation i) AS known
          FROM syncjobs_processsign WHERE part = 'worker') w
"""


@dataclass(frozen=True, slots=True)
class _Workers:
    workers: int
    draining: int
    silent: int
    slots: int
    busy: int
    worker_s: float | None  # since one was seen
    without_store: int
    with_another_store: int
    halted: str | None


def read_signs(cursor: Cursor) -> PartSigns:
    cursor.execute(_PULSES)
    pulses = {part: _span(age_s) for part, age_s in cursor.fetchall()}
    cursor.execute(_WORKERS, {"within_s": SEEN_WITHIN_S})
    [found] = fetch_rows(cursor, _Workers)
    oldest_queued_s, oldest_ready_s = _read_oldest(cursor)
    return PartSigns(
        prepared_s=pulses.get("prepared"),
        beat_s=pulses.get("beat"),
        reaper_s=pulses.get("reaper"),
        unanswered_s=_unanswered(pulses),
        worker_s=_span(found.worker_s),
        workers=found.workers,
        draining=found.draining,
        silent=found.silent,
        slots=found.slots,
        busy=found.busy,
        without_store=found.without_store,
        with_another_store=found.with_another_store,
        halted=found.halted or "",
        oldest_queued_s=oldest_queued_s,
        oldest_ready_s=oldest_ready_s,
    )


def judge_installation(signs: PartSigns) -> list[PartHealth]:
    """By the intervals that are set."""
    interval_s = settings.SYNC.cleanup_interval_s
    return judge_parts(signs, reaped_within_s=allow_between_sweeps_s(interval_s))


def find_halted_hosts() -> list[str]:
    """Hosts with processes that were seen lately and that a restore has halted; see `datasets.installation`."""
    lately = Now() - timedelta(seconds=SEEN_WITHIN_S)
    halted = ProcessSign.objects.filter(seen_at__gt=lately).exclude(halted="")
    return list(halted.order_by("host").values_list("host", flat=True).distinct())


def read_oldest_each(
    cursor: Cursor, workspace_id: uuid.UUID | None = None
) -> dict[uuid.UUID, float]:
    """By workspace, for how long its longest waiting due record has waited; of one or of all that have one."""
    mine = "" if workspace_id is None else "AND workspace_id = %(workspace)s"
    cursor.execute(_OLDEST_EACH.format(mine=mine, limit=_LOOKED_AT), {"workspace": workspace_id})
    return {row_id: max(0.0, float(waited_s)) for row_id, waited_s in cursor.fetchall()}


def _read_oldest(cursor: Cursor) -> tuple[float | None, float | None]:
    """For how long the longest waiting due record has waited, and of those that wait for nothing but a worker."""
    cursor.execute(_OLDEST.format(mine="", limit=_LOOKED_AT), {})
    queued_s, ready_s = cursor.fetchone()
    return _span(queued_s), _span(ready_s)


def _unanswered(pulses: Mapping[str, float | None]) -> dict[str, float]:
    """Returns the unanswered test messages by queue. An answer that came after the oldest open bell has answered them all."""
    ages = {}
    for part, rung_s in pulses.items():
        kind, _, queue = part.partition(":")
        if kind == "rung" and rung_s is not None:
            answered_s = pulses.get(f"queue:{queue}")
            ages[queue] = 0.0 if answered_s is not None and answered_s <= rung_s else rung_s
    return ages


def _span(seconds: Any) -> float | None:
    return None if seconds is None else max(0.0, float(seconds))
