"""Who is to hear that an alert moved: one notification for each channel, in the transaction of the move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.core.words import Severity, Tell
from alerts.models import Alert, AlertChannel, AlertRule, Notification


@dataclass(frozen=True, slots=True)
class AlertMove:
    """One alert, already moved (its rule is loaded), and what is to be said of it."""

    alert: Alert
    tell: Tell


def announce(moves: Sequence[AlertMove], now: datetime) -> None:
    """Writes notifications for the channels of the alerts' rules. The bell for what is due is beat's."""
    Notification.objects.bulk_create(
        Notification(
            alert=move.alert,
            channel=channel,
            tell=move.tell.value,
            severity=move.alert.severity,
            told={},
            due_at=now + timedelta(seconds=channel.group_s),
        )
        for move in moves
        for channel in _find_channels(move.alert.rule, Severity(move.alert.severity))
    )


def _find_channels(rule: AlertRule, severity: Severity) -> list[AlertChannel]:
    named = list(rule.channels.filter(enabled=True))
    return named or [
        channel
        for channel in AlertChannel.objects.filter(workspace=rule.workspace_id, enabled=True)
        if severity.rank >= Severity(channel.min_severity).rank
    ]
