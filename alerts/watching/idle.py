"""Jobs of which nothing has run for too long. Each is looked at when that would be, and not before.

After beat has stood still it finds what it has missed: a gap between two runs is told also where it has ended by then.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection, transaction

from alerts.core.idleness import RUNS_MOST, Gap, Idleness, IdleTerms, Run, find_gaps
from alerts.core.judging import Sign
from alerts.core.words import SubjectKind
from alerts.models import AlertRule
from alerts.watching.conditions import IN_SCOPE
from alerts.watching.news import AlertKey, News, load_rules, move_alerts
from database.rows import fetch_rows
from timing.clock import database_now
from timing.schedules import InvalidSchedule, Manual, draw_offset, parse_text
from timing.windows import InvalidWindow, parse_calendar

LOOKED_AT_ONCE = 1_000

# A job that begins to count, or has another schedule, is idle from now on; a new one, from when it was saved or ran last.
# A job that follows others has no interval: it counts where the rule says a time.
_WANTED = f"""
SELECT r.id AS rule_id, j.id AS job_id, j.schedule::text AS schedule, p.after_s,
       j.enabled AND j.paused_at IS NULL AND (c.status = 'active') IS NOT FALSE
         AND j.schedule <> '{{}}' AND (p.after_s IS NOT NULL OR NOT j.schedule ? 'after') AS counts,
       greatest(j.updated_at, j.last_run_at) AS idle_from
  FROM alerts_alertrule r
  JOIN syncjobs_syncjob j ON {IN_SCOPE}
  LEFT JOIN connectors_connector c ON c.id = j.connector_id
 CROSS JOIN LATERAL (SELECT (r.params ->> 'after_s')::int AS after_s) p
 WHERE r.kind = 'nothing_ran' AND r.enabled
"""  # noqa: S608 — the part above
_MEET = f"""
INSERT INTO alerts_idlewatch AS l (rule_id, job_id, schedule, after_s, idle_from, look_at)
SELECT w.rule_id, w.job_id, w.schedule, w.after_s,
       CASE WHEN k.id IS NULL THEN w.idle_from
            WHEN k.schedule <> w.schedule OR (k.look_at IS NULL AND w.counts) THEN now()
            ELSE k.idle_from END,
       CASE WHEN w.counts THEN now() END
  FROM ({_WANTED}) w
  LEFT JOIN alerts_idlewatch k ON k.rule_id = w.rule_id AND k.job_id = w.job_id
 WHERE k.id IS NULL OR (k.schedule, k.after_s, k.look_at IS NOT NULL)
       IS DISTINCT FROM (w.schedule, w.after_s, w.counts)
 ORDER BY w.rule_id, w.job_id
    ON CONFLICT (rule_id, job_id) DO UPDATE SET schedule = excluded.schedule, after_s = excluded.after_s,
       idle_from = excluded.idle_from, look_at = excluded.look_at
"""  # noqa: S608 — the part above
_FORGET = f"""
DELETE FROM alerts_idlewatch k
 WHERE NOT EXISTS (SELECT FROM ({_WANTED}) w WHERE w.rule_id = k.rule_id AND w.job_id = k.job_id)
"""  # noqa: S608 — the part above

# The end of a record that waits for its next try is that of its last one.
_DUE = """
SELECT k.id, k.rule_id, k.job_id, k.schedule, k.after_s, k.idle_from, j.name, j.jitter_s,
       CASE WHEN j.windows = '[]' AND j.blackouts = '[]' AND w.windows = '[]' AND w.blackouts = '[]' THEN NULL
            ELSE json_build_array(j.windows, j.blackouts, w.windows, w.blackouts)::text END AS calendars,
       runs.started, runs.ended
  FROM alerts_idlewatch k
  JOIN syncjobs_syncjob j ON j.id = k.job_id
  JOIN workspaces_workspace w ON w.id = j.workspace_id
 CROSS JOIN LATERAL (
       SELECT coalesce(array_agg(s.started_at ORDER BY s.started_at), '{}') AS started,
              coalesce(array_agg(CASE WHEN s.state <> 'running' THEN coalesce(s.finished_at, (
                SELECT e.at FROM events_syncevent e WHERE e.record_id = s.id AND e.from_state = 'running'
                 ORDER BY e.id DESC LIMIT 1), s.started_at) END ORDER BY s.started_at), '{}') AS ended
         FROM (SELECT id, state, started_at, finished_at FROM syncjobs_syncrecord
                WHERE job_id = k.job_id AND NOT dry_run AND started_at IS NOT NULL
                ORDER BY queued_at DESC LIMIT %(runs)s) s) runs
 WHERE k.look_at <= now() ORDER BY k.look_at LIMIT %(most)s
"""
_MOVE_ON = """
UPDATE alerts_idlewatch k SET idle_from = u.idle_from, look_at = u.look_at
  FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS u(id, idle_from, look_at) WHERE k.id = u.id
"""


@dataclass(frozen=True, slots=True)
class _Due:
    id: int
    rule_id: uuid.UUID
    job_id: uuid.UUID
    schedule: str
    after_s: int | None
    idle_from: datetime
    name: str
    jitter_s: int
    calendars: str | None
    started: Sequence[datetime]
    ended: Sequence[datetime | None]

    def look(self, now: datetime) -> Idleness:
        runs = [Run(*times) for times in zip(self.started, self.ended, strict=True)]
        return find_gaps(self._read_terms(), self.idle_from, runs, now)

    def _read_terms(self) -> IdleTerms:
        """What cannot be read has no fires; its job says so itself."""
        try:
            schedule = parse_text(self.schedule)
            given = [] if self.calendars is None else json.loads(self.calendars)
            calendars = tuple(
                parse_calendar(*pair) for pair in zip(given[::2], given[1::2], strict=True)
            )
        except (InvalidSchedule, InvalidWindow):
            return IdleTerms(Manual())
        return IdleTerms(schedule, self.after_s, draw_offset(self.job_id, self.jitter_s), calendars)

    def tell(self, found: Idleness, rule: AlertRule, now: datetime) -> list[News]:
        news = []
        for gap in found.gaps:
            news.append(self._news(max(gap.wrong_at, rule.created_at), self._describe(gap)))
            if gap.until is not None:
                news.append(self._news(gap.until))
        if not any(gap.until is None for gap in found.gaps):
            news.append(self._news(now))  # also where its schedule has changed since
        return news

    def _news(self, at: datetime, wrong: str = "") -> News:
        return News(
            sign=Sign(is_bad=bool(wrong), is_state=True), at=at, name=self.name, detail=wrong
        )

    def _describe(self, gap: Gap) -> str:
        since = gap.since.astimezone(UTC)
        return f"nothing has run since {since:%Y-%m-%d %H:%M:%S} UTC; it is due {self._schedule}"

    @property
    def _schedule(self) -> str:
        try:
            return parse_text(self.schedule).describe()
        except InvalidSchedule:
            return "at no time"


@transaction.atomic
def meet_jobs() -> None:
    """Takes up jobs that a rule looks at from now on, and forgets the others."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET)
        cursor.execute(_MEET)


@transaction.atomic
def watch_idle_jobs() -> int:
    """Looks at the jobs whose time has come; their count."""
    now = database_now()
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"most": LOOKED_AT_ONCE, "runs": RUNS_MOST})
        due = fetch_rows(cursor, _Due)
        if not due:
            return 0
        found = [one.look(now) for one in due]
        cursor.execute(
            _MOVE_ON,
            [
                [one.id for one in due],
                [each.idle_from for each in found],
                [each.look_at for each in found],
            ],
        )
    found_of = {
        AlertKey(one.rule_id, SubjectKind.JOB.value, one.job_id): (one, each)
        for one, each in zip(due, found, strict=True)
    }
    rules = load_rules(found_of)
    news = {
        key: one.tell(each, rules[key.rule_id], now)
        for key, (one, each) in found_of.items()
        if key.rule_id in rules
    }
    move_alerts(rules, news, now)
    return len(due)
