"""What is wrong now, by rules that go by how things stand: one statement for each kind.

A statement finds all subjects of all rules of its kind that are bad, so it costs as much as there is wrong, and not as
much as there is to look at.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import connection

from alerts.core.words import RuleKind
from database.rows import Cursor, fetch_rows
from store.room import show_size
from syncjobs.core.watching import SEEN_WITHIN_S

# A job of one second may take five now and then, and nothing is wrong with it.
OVERDUE_FROM_S = 10
COUNTED_MOST = 1_000  # dead letters: nobody needs to know how many more there are

# Of `r`, a rule, and `j`, a job.
IN_SCOPE = """
j.workspace_id = r.workspace_id AND (r.job_id IS NULL OR j.id = r.job_id)
   AND (r.connector_id IS NULL OR j.connector_id = r.connector_id) AND (r.tag = '' OR r.tag = ANY(j.tags))
   AND r.stream_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A subject that is bad now under a rule, and why."""

    rule_id: uuid.UUID
    subject_kind: str
    subject_id: uuid.UUID
    name: str
    detail: str
    record_id: uuid.UUID | None = None


def is_by_state(kind: RuleKind) -> bool:
    return kind in _FINDERS


def find_wrong(kind: RuleKind) -> list[Wrong] | None:
    """Returns None where nothing can be known now: whatever stands, stays."""
    with connection.cursor() as cursor:
        return _FINDERS[kind](cursor)


def _find_overdue(cursor: Cursor) -> list[Wrong]:
    return _find(cursor, _OVERDUE, {"from_s": OVERDUE_FROM_S})


_OVERDUE = f"""
SELECT r.id AS rule_id, 'job' AS subject_kind, j.id AS subject_id, j.name, s.id AS record_id,
       format('it has been running for %%s s; usual are %%s s', round(t.worked_s), round(t.usual_s)) AS detail
  FROM syncjobs_syncrecord s
  JOIN syncjobs_syncjob j ON j.id = s.job_id AND NOT s.dry_run
  JOIN alerts_alertrule r ON r.kind = 'overdue' AND r.enabled AND {IN_SCOPE}
 CROSS JOIN LATERAL (
       SELECT extract(epoch FROM now() - e.at) AS worked_s, s.expected_duration_s::numeric AS usual_s
         FROM events_syncevent e
        WHERE e.record_id = s.id AND e.event = 'claimed' ORDER BY e.id DESC LIMIT 1) t
 WHERE s.state = 'running'
   AND t.worked_s > greatest(coalesce((r.params ->> 'factor')::numeric, 3) * t.usual_s, %(from_s)s)
"""  # noqa: S608 — the part above


def _find_offline(cursor: Cursor) -> list[Wrong]:
    return _find(cursor, _OFFLINE)


# A paused connector is not looked at.
_OFFLINE = """
SELECT r.id AS rule_id, 'connector' AS subject_kind, c.id AS subject_id, c.name,
       coalesce(nullif(left(f.last_error, 1000), ''), 'it cannot be reached') AS detail
  FROM connectors_farendwatch f
  JOIN connectors_connector c ON c.id = f.connector_id AND c.status = 'active'
  JOIN alerts_alertrule r ON r.kind = 'offline' AND r.enabled AND r.workspace_id = c.workspace_id
   AND (r.connector_id IS NULL OR r.connector_id = c.id)
 WHERE f.state = 'offline'
   AND f.since <= now() - make_interval(secs => coalesce((r.params ->> 'after_s')::float8, 300))
"""


def _find_dead_letters(cursor: Cursor) -> list[Wrong]:
    return _find(cursor, _DEAD_LETTERS, {"most": COUNTED_MOST})


_DEAD_LETTERS = """
SELECT r.id AS rule_id, 'stream' AS subject_kind, s.id AS subject_id, s.name,
       format('%%s dead letter%%s for a person to see to', CASE WHEN d.count < %(most)s THEN d.count::text
              ELSE d.count || ' or more' END, CASE d.count WHEN 1 THEN ' waits' ELSE 's wait' END) AS detail
  FROM alerts_alertrule r
  JOIN outbox_stream s ON s.workspace_id = r.workspace_id AND (r.stream_id IS NULL OR r.stream_id = s.id)
 CROSS JOIN LATERAL (SELECT coalesce((r.params ->> 'count')::int, 1) AS needed) p
 CROSS JOIN LATERAL (
       SELECT count(*) AS count FROM (
              SELECT FROM outbox_deadletter l WHERE l.stream_id = s.id AND l.redriven_at IS NULL
               LIMIT greatest(p.needed, %(most)s)) waiting) d
 WHERE r.kind = 'dead_letters' AND r.enabled AND d.count >= p.needed
"""


def _find_indexes_behind(cursor: Cursor) -> list[Wrong]:
    return _find(cursor, _INDEX_BEHIND)


_INDEX_BEHIND = f"""
SELECT r.id AS rule_id, 'dataset' AS subject_kind, d.id AS subject_id, d.name,
       coalesce(nullif(left(i.reason, 1000), ''),
                format('%%s texts and %%s parts of texts wait', i.pending_texts, i.pending_chunks)) AS detail
  FROM search_datasetindex i
  JOIN datasets_dataset d ON d.id = i.dataset_id
  JOIN syncjobs_syncjob j ON j.dataset_id = d.id
  JOIN alerts_alertrule r ON r.kind = 'index_behind' AND r.enabled AND {IN_SCOPE}
 WHERE i.state IN ('catching_up', 'blocked')
   AND i.since <= now() - make_interval(secs => coalesce((r.params ->> 'after_s')::float8, 900))
"""  # noqa: S608 — the part above


def _find_error_rates(cursor: Cursor) -> list[Wrong]:
    return _find(cursor, _ERROR_RATES)


_ERROR_RATES = """
SELECT r.id AS rule_id,
       CASE WHEN r.job_id IS NOT NULL THEN 'job' WHEN r.connector_id IS NOT NULL THEN 'connector'
            ELSE 'workspace' END AS subject_kind,
       coalesce(r.job_id, r.connector_id, r.workspace_id) AS subject_id,
       coalesce(j.name, c.name, w.name) AS name,
       format('%%s of %%s records failed%%s', t.failed, t.ended,
              CASE WHEN r.tag <> '' THEN ', of jobs with the tag ' || r.tag ELSE '' END) AS detail
  FROM alerts_alertrule r
  JOIN workspaces_workspace w ON w.id = r.workspace_id
  LEFT JOIN syncjobs_syncjob j ON j.id = r.job_id
  LEFT JOIN connectors_connector c ON c.id = r.connector_id
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(k.failed), 0) AS failed, coalesce(sum(k.ended), 0) AS ended FROM alerts_endedcount k
        WHERE k.rule_id = r.id AND k.since > now() - make_interval(secs => (r.params ->> 'window_s')::float8)) t
 WHERE r.kind = 'error_rate' AND r.enabled
   AND t.failed > 0 AND t.failed * 100 >= (r.params ->> 'percent')::numeric * t.ended
"""


def _find_full_disks(cursor: Cursor) -> list[Wrong] | None:
    """As a worker that has the store tells; each workspace hears of the disk that all share."""
    cursor.execute(_ROOM, {"within_s": SEEN_WITHIN_S})
    if (row := cursor.fetchone()) is None:
        return None
    free_bytes, size_bytes = row
    words = f"{show_size(free_bytes)} of {show_size(size_bytes)} are free on the store's disk"
    return _find(cursor, _DISK, {"percent": 100 * free_bytes / size_bytes, "detail": words})


_ROOM = """
SELECT store_free_bytes, store_size_bytes FROM syncjobs_processsign
 WHERE store_id = (SELECT store_id FROM datasets_installation) AND store_size_bytes > 0
   AND seen_at > now() - make_interval(secs => %(within_s)s)
 ORDER BY seen_at DESC LIMIT 1
"""
_DISK = """
SELECT r.id AS rule_id, 'workspace' AS subject_kind, w.id AS subject_id, w.name, %(detail)s AS detail
  FROM alerts_alertrule r JOIN workspaces_workspace w ON w.id = r.workspace_id
 WHERE r.kind = 'disk' AND r.enabled AND %(percent)s < coalesce((r.params ->> 'free_percent')::float8, 10)
"""


def _find(cursor: Cursor, statement: str, words: Mapping[str, object] | None = None) -> list[Wrong]:
    cursor.execute(statement, words or {})
    return fetch_rows(cursor, Wrong)


_FINDERS: dict[RuleKind, Callable[[Cursor], list[Wrong] | None]] = {
    RuleKind.OVERDUE: _find_overdue,
    RuleKind.OFFLINE: _find_offline,
    RuleKind.DEAD_LETTERS: _find_dead_letters,
    RuleKind.INDEX_BEHIND: _find_indexes_behind,
    RuleKind.ERROR_RATE: _find_error_rates,
    RuleKind.DISK: _find_full_disks,
}
