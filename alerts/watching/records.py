"""Reads what records did from the event log, and moves the alerts of their jobs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import connection

from alerts.core.judging import RecordMove, is_by_records, judge_move
from alerts.core.words import RuleKind, SubjectKind
from alerts.models import AlertRule
from alerts.watching.counting import count_ended
from alerts.watching.news import AlertKey, News, move_alerts
from alerts.watching.scopes import JobRules, load_job_rules
from database.rows import fetch_rows
from events.cursors import EventCursor, Span
from timing.clock import database_now

log = structlog.get_logger(__name__)

CURSOR = EventCursor("alerts", at_once=10_000)
_KINDS = tuple(kind for kind in RuleKind if is_by_records(kind))

# A dry run has done nothing. What is cancelled before it ran says nothing of its job, unless a person decided on it.
_MOVES = """
SELECT e.record_id, e.from_state, e.to_state, e.at, e.reason, r.verdict, r.error_code,
       left(r.error, 2000) AS error, left(r.warning, 2000) AS warning,
       r.workspace_id, r.job_id, r.connector_id, j.name AS job, j.tags
  FROM events_syncevent e
  JOIN syncjobs_syncrecord r ON r.id = e.record_id
  JOIN syncjobs_syncjob j ON j.id = r.job_id
 WHERE e.id > %s AND e.id <= %s AND NOT r.dry_run
   AND (e.to_state IN ('succeeded', 'partial', 'failed', 'timed_out', 'held') OR e.from_state = 'held')
 ORDER BY e.id
"""


@dataclass(frozen=True, slots=True)
class _Moved:
    record_id: uuid.UUID
    from_state: str
    to_state: str
    at: datetime
    reason: str
    verdict: str
    error_code: str
    error: str
    warning: str
    workspace_id: uuid.UUID
    job_id: uuid.UUID
    connector_id: uuid.UUID | None
    job: str
    tags: Sequence[str]

    def describe(self, kind: RuleKind) -> str:
        if kind is RuleKind.SUSPECT:
            return self.warning
        if kind is RuleKind.HELD:
            return self.reason
        return self.error or self.reason


def watch_records() -> bool:
    """Looks at what has happened since the last look; whether there was anything."""
    return CURSOR.read_all(_watch)


def _watch(span: Span) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MOVES, [span.after, span.upto])
        moved = fetch_rows(cursor, _Moved)
    if not moved:
        return
    rules = load_job_rules(
        _KINDS, {one.workspace_id for one in moved}, {one.job_id for one in moved}
    )
    news, ended = _find_news(moved, rules)
    count_ended(ended)
    if news and (told := move_alerts(rules.by_id, news, database_now())):
        log.info("alerts.moved", told=told)


def _find_news(
    moved: Sequence[_Moved], rules: JobRules
) -> tuple[dict[AlertKey, list[News]], list[tuple[AlertRule, datetime, bool]]]:
    """What rules are to hear, and what those of an error rate count. A rule looks at what happens after it was made."""
    news: dict[AlertKey, list[News]] = defaultdict(list)
    ended = []
    for one in moved:
        move = RecordMove(one.record_id, one.from_state, one.to_state, one.verdict)
        for rule in rules.iter_for(one.workspace_id, one.job_id, one.connector_id, one.tags):
            kind = RuleKind(rule.kind)
            sign = judge_move(kind, move)
            if sign is None or one.at < rule.created_at:
                continue
            if kind is RuleKind.ERROR_RATE:
                ended.append((rule, one.at, sign.is_bad))
                continue
            item = News(
                sign=sign,
                at=one.at,
                name=one.job,
                detail=one.describe(kind),
                record_id=one.record_id,
                error_code=one.error_code,
            )
            news[AlertKey(rule.pk, SubjectKind.JOB.value, one.job_id)].append(item)
    return news, ended
