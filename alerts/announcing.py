"""Who is to hear that an alert moved: one notification for each channel, in the transaction of the move.

A channel hears of a recovery only if it was told, or is still to be told, that the same alert opened. Then it hears of
it whatever its routing says now.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from alerts.core.routing import (
    OPENINGS,
    ChannelTerms,
    DueTime,
    believes_firing,
    plan_due,
)
from alerts.core.texts import clean_line
from alerts.core.words import Severity, Tell
from alerts.links import make_alert_url
from alerts.models import Alert, AlertChannel, AlertRule, Notification
from database.rows import fetch_rows

_DETAIL_MAX = 1_000
_BATCH = 2_000

_HEARD = """
SELECT DISTINCT ON (n.alert_id, n.channel_id)
       n.alert_id, n.channel_id, n.tell, n.told ->> 'state' AS state, n.due_at, n.held AS is_held,
       n.message_id IS NULL AS is_waiting
  FROM alerts_notification n
 WHERE n.alert_id = ANY(%s) AND NOT n.suppressed
 ORDER BY n.alert_id, n.channel_id, n.id DESC
"""


@dataclass(frozen=True, slots=True)
class AlertMove:
    """One alert, already moved (its rule is loaded), and what is to be said of it."""

    alert: Alert
    tell: Tell


@dataclass(frozen=True, slots=True)
class _LastNews:
    """What a channel heard last of an alert, or is going to hear."""

    alert_id: uuid.UUID
    channel_id: uuid.UUID
    tell: str
    state: str
    due_at: datetime
    is_held: bool
    is_waiting: bool

    @property
    def is_of_firing(self) -> bool:
        return believes_firing(Tell(self.tell), self.state)


def announce(moves: Sequence[AlertMove], now: datetime) -> None:
    """Writes notifications. `now` is the database's time. Silenced alerts tell nothing. Whoever sends is notified by beat."""
    audible = [move for move in moves if not _is_silenced(move.alert, now)]
    if not audible:
        return
    routes = _Routes([move.alert.rule for move in audible])
    heard = _find_heard(move.alert.pk for move in audible if move.tell not in OPENINGS)
    Notification.objects.bulk_create(_write(audible, routes, heard, now), batch_size=_BATCH)


def make_told(alert: Alert, tell: Tell) -> dict[str, Any]:
    """An item of `alerts` in a message, as the alert stands now."""
    return {
        "id": str(alert.pk),
        "rule": alert.rule.name,
        "kind": alert.rule.kind,
        "severity": alert.severity,
        "tell": tell.value,
        "state": "firing" if alert.firing else "resolved",
        "subject": {
            "kind": alert.subject_kind,
            "id": str(alert.subject_id),
            "name": clean_line(alert.subject_name),
        },
        "record_id": str(alert.record_id) if alert.record_id else None,
        "error_code": alert.error_code or None,
        "detail": clean_line(alert.detail, _DETAIL_MAX),
        "opened_at": tell_instant(alert.opened_at),
        "resolved_at": None if alert.firing else tell_instant(alert.resolved_at),
        "occurrences": alert.occurrences,
        "url": make_alert_url(alert),
    }


def tell_instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def terms_of(channel: AlertChannel) -> ChannelTerms:
    return ChannelTerms(
        channel.group_s, channel.quiet_hours, channel.timezone, Severity(channel.breaks_quiet)
    )


def _is_silenced(alert: Alert, now: datetime) -> bool:
    return alert.silenced_until is not None and alert.silenced_until > now


class _Routes:
    """The channels of the rules' workspaces, and those that a rule names."""

    def __init__(self, rules: Iterable[AlertRule]) -> None:
        by_id = {rule.pk: rule for rule in rules}
        workspaces = {rule.workspace_id for rule in by_id.values()}
        enabled = AlertChannel.objects.filter(workspace__in=workspaces, enabled=True)
        self.channels = {channel.pk: channel for channel in enabled}
        self._of_workspace: dict[uuid.UUID, list[AlertChannel]] = defaultdict(list)
        for channel in self.channels.values():
            self._of_workspace[channel.workspace_id].append(channel)
        self._named: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
        links = AlertRule.channels.through.objects.filter(alertrule__in=by_id)
        for rule_id, channel_id in links.values_list("alertrule_id", "alertchannel_id"):
            self._named[rule_id].append(channel_id)

    def find(self, rule: AlertRule, severity: Severity) -> list[AlertChannel]:
        """A rule that names channels goes to those that are enabled; else all whose severity admits it."""
        if named := self._named.get(rule.pk):
            return [self.channels[one] for one in named if one in self.channels]
        return [
            channel
            for channel in self._of_workspace[rule.workspace_id]
            if severity.rank >= Severity(channel.min_severity).rank
        ]


_Heard = defaultdict[uuid.UUID, dict[uuid.UUID, _LastNews]]


def _find_heard(alert_ids: Iterable[uuid.UUID]) -> _Heard:
    """Of each alert, what each channel heard last."""
    wanted = list(alert_ids)
    found: _Heard = defaultdict(dict)
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute(_HEARD, [wanted])
            for news in fetch_rows(cursor, _LastNews):
                found[news.alert_id][news.channel_id] = news
    return found


def _write(
    moves: Iterable[AlertMove], routes: _Routes, heard: _Heard, now: datetime
) -> Iterator[Notification]:
    due_of: dict[tuple[uuid.UUID, Severity], DueTime] = {}
    for move in moves:
        alert, severity = move.alert, Severity(move.alert.severity)
        told = make_told(alert, move.tell)
        news = heard[alert.pk]
        for channel in _find_hearers(move, severity, routes, news):
            key = (channel.pk, severity)
            if key not in due_of:
                due_of[key] = plan_due(terms_of(channel), severity, now)
            due = _plan_after(news.get(channel.pk), due_of[key], now)
            news[channel.pk] = _LastNews(
                alert.pk, channel.pk, move.tell, told["state"], due.at, due.is_held, is_waiting=True
            )
            yield Notification(
                alert=alert,
                channel=channel,
                tell=move.tell.value,
                severity=alert.severity,
                told=told,
                at=now,
                due_at=due.at,
                held=due.is_held,
            )


def _find_hearers(
    move: AlertMove, severity: Severity, routes: _Routes, news: Mapping[uuid.UUID, _LastNews]
) -> list[AlertChannel]:
    if move.tell in OPENINGS:
        return routes.find(move.alert.rule, severity)
    believing = {channel_id for channel_id, last in news.items() if last.is_of_firing}
    if move.tell is Tell.SETTLED and move.alert.firing:  # it fires: whoever is to hear so does
        believing |= {channel.pk for channel in routes.find(move.alert.rule, severity)}
    return [channel for pk, channel in routes.channels.items() if pk in believing]


def _plan_after(last: _LastNews | None, due: DueTime, now: datetime) -> DueTime:
    """Never before what the channel is still to hear of the same alert."""
    if last is None or not last.is_waiting:
        return due
    if last.due_at > due.at or (last.is_held and last.due_at > now):
        return DueTime(last.due_at, last.is_held)
    return due
