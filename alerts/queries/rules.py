"""The rules and channels of a workspace, with what surfaces tell of each."""

from __future__ import annotations

import uuid

from django.db.models import Count, Q, QuerySet

from alerts.models import AlertChannel, AlertRule


def rules_of(workspace_id: uuid.UUID) -> QuerySet[AlertRule]:
    """Each with its scope, its channels, and `firing`: how many of its alerts fire."""
    rows = AlertRule.objects.filter(workspace=workspace_id)
    counted = rows.annotate(firing=Count("alerts", filter=Q(alerts__firing=True)))
    return counted.select_related("job", "connector", "stream", "workspace").prefetch_related(
        "channels"
    )


def channels_of(workspace_id: uuid.UUID) -> QuerySet[AlertChannel]:
    return AlertChannel.objects.filter(workspace=workspace_id).select_related("workspace")
