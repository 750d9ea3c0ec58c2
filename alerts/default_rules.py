"""Gives a new workspace the rules of `alerts.core.defaults`."""

from __future__ import annotations

import uuid

from alerts.core.defaults import DEFAULT_RULES
from alerts.models import AlertRule


def make_default_rules(workspace_id: uuid.UUID) -> None:
    """For a workspace that is made now, in its transaction."""
    AlertRule.objects.bulk_create(
        AlertRule(
            workspace_id=workspace_id, name=rule.name, kind=rule.kind.value, severity=rule.severity.value,
            params=dict(rule.params),
        )
        for rule in DEFAULT_RULES
    )  # fmt: skip
