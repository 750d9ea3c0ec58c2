"""A workspace with a rule, channels, and alerts that a test moves."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.announcing import AlertMove, announce
from alerts.channel_secrets import seal_channel_url
from alerts.core.words import RuleKind, Severity, SubjectKind, Tell
from alerts.models import Alert, AlertChannel, AlertMessage, AlertRule
from workspaces.models import Workspace

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def make_workspace() -> Workspace:
    return Workspace.objects.create(name=f"w{uuid.uuid4().hex[:12]}")


def make_rule(
    workspace: Workspace, severity: Severity = Severity.WARNING, **fields: Any
) -> AlertRule:
    name = fields.pop("name", f"rule-{uuid.uuid4().hex[:8]}")
    kind = fields.pop("kind", RuleKind.FAILURE)
    return AlertRule.objects.create(
        workspace=workspace, name=name, kind=kind, severity=severity, **fields
    )


def make_channel(
    workspace: Workspace, name: str = "ops", url: str = "json://127.0.0.1:1/", **fields: Any
) -> AlertChannel:
    channel = AlertChannel(workspace=workspace, name=name, **fields)
    seal_channel_url(channel, url)
    channel.save()
    return channel


def make_alert(rule: AlertRule, name: str = "nightly-reports", **fields: Any) -> Alert:
    return Alert.objects.create(
        workspace=rule.workspace,
        rule=rule,
        subject_kind=SubjectKind.JOB,
        subject_id=uuid.uuid4(),
        subject_name=name,
        severity=rule.severity,
        **fields,
    )


def open_alert(alert: Alert, at: datetime, **fields: Any) -> AlertMove:
    alert.firing, alert.opened_at, alert.resolved_at = True, at, None
    return _moved(alert, Tell.OPENED, at, fields)


def recover_alert(alert: Alert, at: datetime, **fields: Any) -> AlertMove:
    alert.firing, alert.resolved_at = False, at
    return _moved(alert, Tell.RECOVERED, at, fields)


def _moved(alert: Alert, tell: Tell, at: datetime, fields: dict[str, Any]) -> AlertMove:
    alert.last_seen_at, alert.occurrences = at, 1
    for name, value in fields.items():
        setattr(alert, name, value)
    alert.save()
    return AlertMove(alert, tell)


def tell(moves: AlertMove | Iterable[AlertMove], at: datetime) -> None:
    announce([moves] if isinstance(moves, AlertMove) else list(moves), at)


def bodies_of(channel: AlertChannel) -> list[dict[str, Any]]:
    """Of the channel's messages, in their order."""
    rows = AlertMessage.objects.filter(channel=channel).order_by("made_at")
    return [json.loads(bytes(row.body)) for row in rows]


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
