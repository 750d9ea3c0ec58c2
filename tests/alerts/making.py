"""Channels, rules and alerts of a workspace, as rows."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from alerts.channel_secrets import seal_channel_url
from alerts.core.words import SubjectKind
from alerts.models import Alert, AlertChannel, AlertRule
from tests.rows import make_workspace
from workspaces.models import Workspace


def make_channel(
    name: str = "ops",
    url: str = "json://hooks.example.com/secret",
    *,
    workspace: Workspace | None = None,
    **fields: Any,
) -> AlertChannel:
    row = AlertChannel(workspace=workspace or make_workspace(), name=name, **fields)
    seal_channel_url(row, url)
    row.save()
    return row


def make_rule(
    name: str = "nightly",
    kind: str = "failure",
    *,
    workspace: Workspace | None = None,
    **fields: Any,
) -> AlertRule:
    row = AlertRule(workspace=workspace or make_workspace(), name=name, kind=kind, **fields)
    row.save()
    return row


def make_alert(
    rule: AlertRule | None = None,
    *,
    opened_ago: timedelta = timedelta(minutes=5),
    firing: bool = True,
    **fields: Any,
) -> Alert:
    rule = rule or make_rule()
    opened_at = timezone.now() - opened_ago
    told = {
        "subject_kind": SubjectKind.JOB,
        "subject_id": uuid.uuid4(),
        "subject_name": "nightly-reports",
        "severity": rule.severity,
        "detail": "The root folder is missing.",
        "error_code": "root_missing",
        "occurrences": 1,
        "last_seen_at": opened_at,
        "resolved_at": None if firing else opened_at + timedelta(minutes=1),
    }
    return Alert.objects.create(
        workspace=rule.workspace, rule=rule, firing=firing, opened_at=opened_at, **told | fields
    )
