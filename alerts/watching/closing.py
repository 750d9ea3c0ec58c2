"""Alerts that nobody looks after any more: they close.

A rule that is disabled, or changed so that it looks elsewhere or at something else, closes its alerts without a word:
nobody can say that what they told of is over. The same holds for a job that does not count for its rule any more, such
as a paused one of which nothing ran. Where the subject itself was deleted, nothing is wrong with it any more: that is
told as a recovery. The alerts of a rule that was deleted went with it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import structlog
from django.db import connection, transaction

from alerts.announcing import announce
from alerts.core.standing import close_quietly
from alerts.models import Alert
from alerts.watching.alert_rows import write_alerts
from alerts.watching.conditions import IN_SCOPE
from alerts.watching.news import end_with_subject, stand, standing_of
from database.rows import fetch_rows
from timing.clock import database_now

log = structlog.get_logger(__name__)

KEPT_DAYS = 90  # alerts that have not been bad for so long

_UNATTENDED = f"""
SELECT a.id, r.enabled AND x.id IS NULL AS is_gone
  FROM alerts_alert a
  JOIN alerts_alertrule r ON r.id = a.rule_id
  LEFT JOIN connectors_connector c ON a.subject_kind = 'connector' AND c.id = a.subject_id
  LEFT JOIN outbox_stream s ON a.subject_kind = 'stream' AND s.id = a.subject_id
  LEFT JOIN datasets_dataset d ON a.subject_kind = 'dataset' AND d.id = a.subject_id
  LEFT JOIN syncjobs_syncjob j
    ON a.subject_kind = 'job' AND j.id = a.subject_id OR a.subject_kind = 'dataset' AND j.dataset_id = a.subject_id
 CROSS JOIN LATERAL (
       SELECT CASE a.subject_kind WHEN 'job' THEN j.id WHEN 'connector' THEN c.id WHEN 'stream' THEN s.id
                                  WHEN 'dataset' THEN d.id ELSE a.workspace_id END AS id) x
 WHERE a.id IN (SELECT id FROM alerts_alert WHERE firing
                 UNION ALL SELECT id FROM alerts_alert WHERE flapping
                 UNION ALL SELECT b.id FROM alerts_alertrule o JOIN alerts_alert b ON b.rule_id = o.id
                            WHERE NOT o.enabled AND b.bad_in_a_row > 0)
   AND (x.id IS NULL OR NOT r.enabled OR a.kind NOT IN ('', r.kind) OR NOT CASE r.kind
        WHEN 'disk' THEN true
        WHEN 'error_rate' THEN a.subject_id = coalesce(r.job_id, r.connector_id, r.workspace_id)
        WHEN 'dead_letters' THEN s.id = coalesce(r.stream_id, s.id)
        WHEN 'offline' THEN c.status = 'active' AND c.id = coalesce(r.connector_id, c.id)
        WHEN 'nothing_ran' THEN EXISTS (SELECT FROM alerts_idlewatch k
                                         WHERE k.rule_id = r.id AND k.job_id = j.id AND k.look_at IS NOT NULL)
        ELSE {IN_SCOPE} END)
"""  # noqa: S608 — the part above
_DROP = """
DELETE FROM alerts_alert
 WHERE NOT firing AND coalesce(resolved_at, last_seen_at) < now() - make_interval(days => %s)
"""


@dataclass(frozen=True, slots=True)
class _Unattended:
    id: uuid.UUID
    is_gone: bool  # its subject


@transaction.atomic
def close_unattended() -> int:
    """The count of alerts that are closed."""
    with connection.cursor() as cursor:
        cursor.execute(_UNATTENDED)
        found = {one.id: one for one in fetch_rows(cursor, _Unattended)}
    if not found:
        return 0
    now = database_now()
    locked = (
        Alert.objects.filter(pk__in=found)
        .select_related("rule")
        .order_by("rule_id", "subject_kind", "subject_id")
        .select_for_update(no_key=True, of=("self",))
    )
    alerts, moves = list(locked), []
    for alert in alerts:
        if found[alert.pk].is_gone:
            moves += end_with_subject(alert, now)
        else:
            stand(alert, close_quietly(standing_of(alert), now))
    write_alerts(alerts)
    announce(moves, now)
    log.info("alerts.closed", count=len(alerts), told=len(moves))
    return len(alerts)


def drop_old_alerts() -> int:
    """The count of alerts that are forgotten, with what was told of them."""
    with connection.cursor() as cursor:
        cursor.execute(_DROP, [KEPT_DAYS])
        return int(cursor.rowcount)
