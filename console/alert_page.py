"""What the page of alerts shows: what is wrong and whom it was told, the rules as sentences, the channels."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from alerts.core.parameters import RuleScope
from alerts.core.words import AlertState, ChannelState, RuleKind, Severity
from alerts.links import find_page_of
from alerts.models import Alert, AlertChannel, AlertRule, Notification
from alerts.queries.alerts import in_state, with_firing, with_state
from console import tenancy
from console.words import span_words
from workspaces.models import Role

LIVE_EVERY_S = 15
LISTED = 50
_HEADINGS = {
    AlertState.FIRING: "Firing",
    AlertState.SILENCED: "Silenced",
    AlertState.RESOLVED: "Resolved",
}
SEVERITY_TONES = {Severity.INFO: "wait", Severity.WARNING: "warn", Severity.CRITICAL: "bad"}
_CHANNEL_TONES = {ChannelState.OK: "ok", ChannelState.RETRYING: "warn", ChannelState.BROKEN: "bad"}
_CHANNEL_WORDS = {
    ChannelState.OK: "works",
    ChannelState.RETRYING: "tries again",
    ChannelState.BROKEN: "broken",
}
_SENTENCES = {
    RuleKind.FAILURE: "a record fails for good",
    RuleKind.FAILURES_IN_A_ROW: "{count} records fail in a row",
    RuleKind.HELD: "a record is held for a person",
    RuleKind.SUSPECT: "a record moves much less or more than usual",
    RuleKind.OVERDUE: "a record takes {factor} times as long as expected",
    RuleKind.NOTHING_RAN: "nothing ran for {after_s}",
    RuleKind.ERROR_RATE: "{percent} % of the records of {window_s} fail",
    RuleKind.OFFLINE: "a host is offline for {after_s}",
    RuleKind.DEAD_LETTERS: "{count} readings are refused for good",
    RuleKind.INDEX_BEHIND: "the search index is behind for {after_s}",
    RuleKind.DISK: "less than {free_percent} % of the disk is free",
}
_EVERYTHING = {
    RuleKind.OFFLINE: "all connectors",
    RuleKind.DEAD_LETTERS: "all streams",
    RuleKind.DISK: "this installation",
}


@dataclass(frozen=True, slots=True)
class ShownAlert:
    """`told` are the channels, each with what became of the last message to it."""

    alert: Alert
    tone: str
    page: str
    told: Sequence[str]


def describe_alerts(request: HttpRequest, named: str = "") -> dict[str, Any]:
    """The alerts of the named state, the newest first; `before` is the place of the last of the page before."""
    state = AlertState(named) if named in set(AlertState) else AlertState.FIRING
    rows = _find_rows(request)
    counts = _count_states(rows)
    listed = with_state(rows.filter(in_state(state))).select_related("rule", "workspace")
    before = _read_place(request.GET.get("before", ""))
    if before is not None:
        at, key = before
        behind = Q(opened_at__lt=at) | Q(pk__lt=key)
        listed = listed.filter(behind, opened_at__lte=at)
    found = list(listed.order_by("-opened_at", "-pk")[: LISTED + 1])
    shown = show_alerts(found[:LISTED])
    return {
        "state": state.value,
        "heading": _HEADINGS[state],
        "pills": [(each.value, _HEADINGS[each], counts[each]) for each in AlertState],
        "alerts": shown,
        "is_older": before is not None,
        "older": _write_place(found[LISTED - 1]) if len(found) > LISTED else None,
        "state_words": f"{counts[AlertState.FIRING]} alerts fire",
        "every_s": LIVE_EVERY_S,
        "may_silence": tenancy.may(request, Role.OPERATOR),
        "several": tenancy.count_workspaces(request) > 1
        and tenancy.find_current_workspace(request) is None,
    }


def describe_setup(request: HttpRequest) -> dict[str, Any]:
    """The rules and channels of the person's workspaces."""
    rules = tenancy.narrow(request, tenancy.scope(request, AlertRule.objects.all()))
    channels = tenancy.narrow(request, tenancy.scope(request, AlertChannel.objects.all()))
    related = with_firing(rules).select_related("job", "connector", "stream", "workspace")
    shown = channels.select_related("workspace").order_by("workspace__name", "name")[:LISTED]
    return {
        "rules": [
            (
                rule,
                describe_rule(rule),
                describe_scope(rule),
                SEVERITY_TONES[Severity(rule.severity)],
            )
            for rule in related.order_by("workspace__name", "name")[:LISTED]
        ],
        "channels": [show_channel(channel) for channel in shown],
        "may_test": tenancy.may(request, Role.OPERATOR),
        "may_configure": tenancy.may(request, Role.ADMIN),
    }


def show_channel(channel: AlertChannel) -> dict[str, Any]:
    state = ChannelState(channel.state)
    return {
        "channel": channel,
        "word": _CHANNEL_WORDS[state],
        "tone": _CHANNEL_TONES[state],
        "words": describe_channel(channel),
    }


def show_alerts(alerts: Sequence[Alert]) -> list[ShownAlert]:
    told = _find_told([alert.pk for alert in alerts])
    return [
        ShownAlert(
            alert, SEVERITY_TONES[Severity(alert.severity)], find_page_of(alert), told[alert.pk]
        )
        for alert in alerts
    ]


def describe_rule(rule: AlertRule) -> str:
    """When an alert opens, as the end of a sentence."""
    values = dict(rule.params)
    for name in ("after_s", "window_s"):
        if name in values:
            seconds = values[name]
            values[name] = "twice its interval" if seconds is None else span_words(seconds)
    return _SENTENCES[RuleKind(rule.kind)].format_map(defaultdict(str, values))


def describe_scope(rule: AlertRule) -> str:
    for scope in (RuleScope.JOB, RuleScope.CONNECTOR, RuleScope.STREAM):
        if (limit := getattr(rule, scope)) is not None:
            return f"{scope} {limit.name}"
    if rule.tag:
        return f"tag {rule.tag}"
    return _EVERYTHING.get(RuleKind(rule.kind), "all jobs")


def describe_channel(channel: AlertChannel) -> str:
    """Who is told of what, and when not."""
    severity = channel.min_severity
    parts = [channel.scheme, "all alerts" if severity == Severity.INFO else f"{severity} and above"]
    if severity == Severity.CRITICAL:
        parts[1] = "critical only"
    if channel.quiet_hours:
        parts.append(
            f"quiet {channel.quiet_hours} ({channel.timezone}), {channel.breaks_quiet} breaks it"
        )
    if not channel.enabled:
        parts.append("switched off")
    return " · ".join(parts)


def _find_rows(request: HttpRequest) -> QuerySet[Alert]:
    rows = Alert.objects.filter(opened_at__isnull=False)
    return tenancy.narrow(request, tenancy.scope(request, rows))


def _count_states(rows: QuerySet[Alert]) -> dict[AlertState, int]:
    wanted = {f"count_{each}": Count("pk", filter=in_state(each)) for each in AlertState}
    counts = rows.aggregate(**wanted)
    return {each: counts[f"count_{each}"] for each in AlertState}


def _find_told(alert_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[str]]:
    """The last word to each channel about each alert."""
    latest = (
        Notification.objects.filter(alert__in=list(alert_ids))
        .select_related("channel", "message")
        .order_by("alert_id", "channel_id", "-id")
        .distinct("alert_id", "channel_id")
    )
    told: dict[uuid.UUID, list[str]] = defaultdict(list)
    for one in latest:
        told[one.alert_id].append(_tell_of(one))
    return told


def _tell_of(notification: Notification) -> str:
    channel, message = notification.channel, notification.message
    if message is not None and message.delivered_at is not None:
        counted = " (counted in a digest)" if notification.suppressed else ""
        return f"told: {channel.name}{counted}"
    if channel.state == ChannelState.BROKEN:
        return f"not told: {channel.name} is broken"
    if message is None and notification.held:
        return f"{channel.name} waits until its quiet hours end"
    return f"{channel.name} is being told"


def _write_place(alert: Alert) -> str:
    """Where an alert stands among those that opened before it: several may have opened at once."""
    return f"{alert.opened_at.isoformat() if alert.opened_at else ''}~{alert.pk}"


def _read_place(text: str) -> tuple[datetime, uuid.UUID] | None:
    at, _, key = text.partition("~")
    try:
        found = parse_datetime(at)
        return None if found is None or timezone.is_naive(found) else (found, uuid.UUID(key))
    except ValueError:
        return None
