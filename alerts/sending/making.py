"""Makes one message for a channel out of all that waits for it. Its bytes are fixed here, and so is its key.

A channel has at most one message under way: what comes meanwhile waits, and makes the next one. So openings and
recoveries arrive in order, and a channel that was away for an hour gets one message.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models.functions import JSONObject

from alerts.announcing import tell_instant
from alerts.core.bundling import (
    FLOOD_S,
    HOUR,
    NAMED_MAX,
    ChannelLoad,
    WaitingAlert,
    choose_type,
    combine_tells,
    order_alerts,
    plan_message,
)
from alerts.core.texts import DigestLine, make_digest, make_message, make_title
from alerts.core.words import DeliveryOutcome, MessageReason, Severity, Tell
from alerts.models import AlertChannel, AlertMessage, Notification
from database.rows import fetch_row, fetch_rows

log = structlog.get_logger(__name__)


_IDLE = """
c.enabled AND c.state <> 'broken' AND NOT EXISTS (
    SELECT FROM alerts_alertmessage m WHERE m.channel_id = c.id AND m.ended_at IS NULL AND m.reason <> 'test'
       AND (m.attempts > 0 OR m.next_at <= %(now)s))
"""
_DUE_CHANNELS = f"""
SELECT c.id FROM alerts_alertchannel c
 WHERE {_IDLE} AND EXISTS (
    SELECT FROM alerts_notification n WHERE n.channel_id = c.id AND n.message_id IS NULL AND n.due_at <= %(now)s)
"""  # noqa: S608 — made of this module's own text
_LOCK = f"SELECT c.id FROM alerts_alertchannel c WHERE c.id = %(channel)s AND {_IDLE} FOR NO KEY UPDATE SKIP LOCKED"  # noqa: S608
# All that waits goes along, but what quiet hours hold.
_TAKEN = (
    "n.channel_id = %(channel)s AND n.message_id IS NULL AND (NOT n.held OR n.due_at <= %(now)s)"
)
_LOAD = f"""
SELECT w.due_at, w.has_due_group, w.recent_count + l.recent_count AS recent_count, c.group_s, c.most_per_hour,
       l.last_made_at, l.made_in_hour, l.oldest_in_hour_at
  FROM alerts_alertchannel c,
       LATERAL (SELECT min(n.due_at) AS due_at,
                       bool_or(n.due_at <= %(now)s AND (n.held OR n.severity <> 'critical')) AS has_due_group,
                       count(*) FILTER (WHERE n.at > %(now)s - %(flood)s) AS recent_count
                  FROM alerts_notification n WHERE {_TAKEN}) w,
       LATERAL (SELECT max(m.made_at) AS last_made_at,
                       count(*) FILTER (WHERE m.made_at > w.due_at - %(hour)s) AS made_in_hour,
                       min(m.made_at) FILTER (WHERE m.made_at > w.due_at - %(hour)s) AS oldest_in_hour_at,
                       coalesce(sum((SELECT count(*) FROM alerts_notification n WHERE n.message_id = m.id
                                        AND n.at > %(now)s - %(flood)s))
                                FILTER (WHERE m.made_at > %(now)s - %(flood)s), 0)::bigint AS recent_count
                  FROM alerts_alertmessage m
                 WHERE m.channel_id = c.id AND m.reason IN ('alerts', 'digest')
                   AND m.made_at > w.due_at - %(hour)s - make_interval(secs => c.group_s)) l
 WHERE c.id = %(channel)s AND w.due_at <= %(now)s
"""  # noqa: S608
# Taken before they are looked at, so that a notification that is committed meanwhile waits for the next message.
_TAKE = (
    f"UPDATE alerts_notification n SET message_id = %(message)s, suppressed = true WHERE {_TAKEN}"  # noqa: S608
)
_TAKEN_ALERTS = """
SELECT n.alert_id, array_agg(n.tell ORDER BY n.id) AS tells, max(n.id) AS newest,
       (array_agg(n.severity ORDER BY n.id DESC))[1] AS severity
  FROM alerts_notification n WHERE n.message_id = %(message)s GROUP BY n.alert_id
"""
_NAME = """
UPDATE alerts_notification SET suppressed = false WHERE message_id = %(message)s AND alert_id = ANY(%(named)s)
"""
_ADD_TO_TOTAL = """
INSERT INTO alerts_alertdeliverytotal AS t (workspace_id, outcome, total) VALUES (%s, %s, %s)
ON CONFLICT (workspace_id, outcome) DO UPDATE SET total = t.total + excluded.total
"""


@dataclass(frozen=True, slots=True)
class _WaitingRow:
    alert_id: uuid.UUID
    tells: list[str]
    newest: int
    severity: str


@dataclass(frozen=True, slots=True)
class MessagesMade:
    """`next_at`: when the next one can be made of what is due already; None: nothing waits for its time."""

    count: int
    next_at: datetime | None = None


def make_messages(now: datetime) -> MessagesMade:
    """Makes what is due, a transaction for each channel."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE_CHANNELS, {"now": now})
        due = [channel_id for (channel_id,) in cursor.fetchall()]
    at = [when for channel_id in due if (when := _make_for(channel_id, now)) is not None]
    later = [when for when in at if when > now]
    return MessagesMade(len(at) - len(later), min(later, default=None))


def _make_for(channel_id: uuid.UUID, now: datetime) -> datetime | None:
    """When the channel's message is to be made: one that is not to wait has been made. None: there is none."""
    asked: dict[str, Any] = {
        "channel": channel_id,
        "now": now,
        "hour": HOUR,
        "flood": timedelta(seconds=FLOOD_S),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, asked)
        if cursor.fetchone() is None:
            return None
        cursor.execute(_LOAD, asked)
        load = fetch_row(cursor, ChannelLoad)
        if load is None:
            return None
        timing = plan_message(load)
        if timing.at > now:
            return timing.at
        key = uuid.uuid4()
        asked["message"] = key
        cursor.execute(_TAKE, asked)
        cursor.execute(_TAKEN_ALERTS, asked)
        rows = fetch_rows(cursor, _WaitingRow)
        channel = AlertChannel.objects.select_related("workspace").get(pk=channel_id)
        message = (_make_digest if timing.is_digest else _make_alerts)(channel, rows, key, now)
        message.row.save(force_insert=True)
        cursor.execute(_NAME, {"message": key, "named": message.named})
        if suppressed := len(rows) - len(message.named):
            add_to_totals(channel.workspace_id, DeliveryOutcome.SUPPRESSED, suppressed)
    log.info("alerts.message_made", message=str(key), channel=channel.name, alerts=len(rows))
    return timing.at


@dataclass(frozen=True, slots=True)
class _Made:
    """`named` are the alerts that the message tells; the others are only counted."""

    row: AlertMessage
    named: list[uuid.UUID]


def _make_alerts(
    channel: AlertChannel, rows: Sequence[_WaitingRow], key: uuid.UUID, now: datetime
) -> _Made:
    by_newest = {row.newest: row for row in rows}
    ordered = order_alerts([_read_waiting(row) for row in rows])[:NAMED_MAX]
    told = dict(
        Notification.objects.filter(pk__in=[one.newest for one in ordered]).values_list(
            "pk", "told"
        )
    )
    items = [{**told[one.newest], "tell": combine_tells(one.tells).value} for one in ordered]
    more = len(rows) - len(items)
    body = {
        "title": make_title(items, more),
        "message": make_message(items, more, str(key)),
        "type": choose_type([(Tell(item["tell"]), item["state"]) for item in items]),
    }
    row = make_row(channel, MessageReason.ALERTS, body, Frame(key, now, items, more))
    return _Made(row, [by_newest[one.newest].alert_id for one in ordered])


def _make_digest(
    channel: AlertChannel, rows: Sequence[_WaitingRow], key: uuid.UUID, now: datetime
) -> _Made:
    told = dict(
        Notification.objects.filter(pk__in=[row.newest for row in rows]).values_list(
            "pk", JSONObject(rule="told__rule", name="told__subject__name")
        )
    )
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda one: one.newest):
        names[row.severity, told[row.newest]["rule"]].append(told[row.newest]["name"])
    counts = [DigestLine(severity, rule, named) for (severity, rule), named in names.items()]
    counts.sort(key=lambda one: (-Severity(one.severity).rank, -len(one.names), one.rule))
    title, message = make_digest(counts, str(key))
    body = {"title": title, "message": message, "type": "warning"}
    return _Made(make_row(channel, MessageReason.DIGEST, body, Frame(key, now, [], len(rows))), [])


@dataclass(frozen=True, slots=True)
class Frame:
    """What a message's body holds beside its texts."""

    key: uuid.UUID
    now: datetime
    items: Sequence[dict[str, Any]] = ()
    more: int = 0


def make_row(
    channel: AlertChannel, reason: MessageReason, texts: dict[str, str], frame: Frame
) -> AlertMessage:
    """A message that is to be sent at once (unsaved)."""
    body = {
        "version": "1.0",
        **texts,
        "syncproject": {
            "delivery": str(frame.key),
            "channel": channel.name,
            "workspace": channel.workspace.name,
            "reason": reason.value,
            "sent_at": tell_instant(frame.now),
            "alerts": list(frame.items),
            "more": frame.more,
        },
    }
    return AlertMessage(
        pk=frame.key,
        channel=channel,
        reason=reason.value,
        body=json.dumps(body, ensure_ascii=False).encode(),
        made_at=frame.now,
        next_at=frame.now,
    )


def _read_waiting(row: _WaitingRow) -> WaitingAlert:
    return WaitingAlert(tuple(map(Tell, row.tells)), Severity(row.severity), row.newest)


def add_to_totals(workspace_id: uuid.UUID, outcome: DeliveryOutcome, count: int = 1) -> None:
    """Counts tries by their outcome, for /metrics: totals that only rise."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TO_TOTAL, [workspace_id, outcome.value, count])
