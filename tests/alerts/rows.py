"""Rules, channels and what was told, for tests."""

from __future__ import annotations

from typing import Any

from alerts.models import Alert, AlertChannel, AlertRule, Notification
from alerts.watching.watch import watch_alerts
from workspaces.models import Workspace


def make_channel(workspace: Workspace, name: str = "ops", **fields: Any) -> AlertChannel:
    """Nothing is sent: these tests end with what is to be told."""
    fields = {"scheme": "json", "shown_url": "json://127.0.0.1"} | fields
    return AlertChannel.objects.create(workspace=workspace, name=name, **fields)


def make_rule(workspace: Workspace, kind: str, **fields: Any) -> AlertRule:
    return AlertRule.objects.create(
        workspace=workspace, name=f"rule of {kind}", kind=kind, **fields
    )


def watch_told() -> list[tuple[str, str]]:
    """What all channels are to hear in all, after one more look: the subject and what is told of it."""
    watch_alerts()
    told = Notification.objects.order_by("pk").select_related("alert")
    return [(one.alert.subject_name, one.tell) for one in told]


def find_alert(rule: AlertRule) -> Alert:
    """The one that the rule has."""
    return Alert.objects.get(rule=rule)
