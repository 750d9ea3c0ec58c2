"""The rules and channels of a workspace, with what surfaces tell of each; and which rules look at a job."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from alerts.core.words import RuleKind
from alerts.models import AlertChannel, AlertRule
from syncjobs.models import SyncJob

# Rules that a job can be the subject of.
OF_JOBS = (
    RuleKind.FAILURE,
    RuleKind.FAILURES_IN_A_ROW,
    RuleKind.HELD,
    RuleKind.SUSPECT,
    RuleKind.OVERDUE,
    RuleKind.NOTHING_RAN,
    RuleKind.ERROR_RATE,
    RuleKind.OFFLINE,
)


def rules_of(workspace_id: uuid.UUID) -> QuerySet[AlertRule]:
    """Each with its scope, its channels, and `firing`: how many of its alerts fire."""
    rows = AlertRule.objects.filter(workspace=workspace_id)
    counted = rows.annotate(firing=Count("alerts", filter=Q(alerts__firing=True)))
    return counted.select_related("job", "connector", "stream", "workspace").prefetch_related(
        "channels"
    )


def channels_of(workspace_id: uuid.UUID) -> QuerySet[AlertChannel]:
    return AlertChannel.objects.filter(workspace=workspace_id).select_related("workspace")


@dataclass(frozen=True, slots=True)
class CoveringRule:
    rule: AlertRule
    channels: Sequence[AlertChannel]  # those that are switched on


def find_covering_rules(job: SyncJob) -> list[CoveringRule]:
    """Those that are enabled, by name. Three queries at most."""
    everywhere = Q(job=None, connector=None, stream=None, tag="")
    of_host = Q(connector=job.connector_id) if job.connector_id else Q(pk=None)
    rules = list(
        AlertRule.objects.filter(
            everywhere | Q(job=job) | of_host | Q(tag__in=job.tags),
            workspace=job.workspace_id,
            enabled=True,
            kind__in=[kind.value for kind in OF_JOBS],
        ).prefetch_related("channels")
    )
    if not rules:
        return []
    all_channels = list(AlertChannel.objects.filter(workspace=job.workspace_id, enabled=True))
    return [CoveringRule(rule, _channels_of(rule, all_channels)) for rule in rules]


def _channels_of(rule: AlertRule, everyone: Sequence[AlertChannel]) -> Sequence[AlertChannel]:
    chosen = [channel for channel in rule.channels.all() if channel.enabled]
    return chosen if chosen or rule.channels.all() else everyone
