"""Channels and rules in the configuration as text: `alert_channels:` and `alert_rules:` of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.configuration.channels import CHANNEL_FIELDS, write_channel
from alerts.configuration.defaults import DEFAULT_RULES
from alerts.configuration.refusals import AlertNameTaken, InvalidAlerting
from alerts.configuration.rules import RULE_FIELDS, names_of_channels, write_rule
from alerts.core.parameters import FORMS, RuleScope
from alerts.core.words import RuleKind
from alerts.models import AlertChannel, AlertRule
from alerts.queries.rules import channels_of, rules_of
from syncjobs.configuration.sections import Section, SectionEntry, SectionRefused, StoredSecret
from workspaces.lookup import find_by_name
from workspaces.models import Workspace


def _write_channel(workspace: Workspace, name: str, fields: Mapping[str, Any]) -> SectionEntry:
    found = find_by_name(AlertChannel.objects.select_related("workspace"), workspace, name)
    channel = found or AlertChannel(workspace=workspace)
    try:
        changed = write_channel(channel, {**fields, "name": name}).changed
    except InvalidAlerting as exc:
        raise SectionRefused(exc.errors) from None
    except AlertNameTaken as exc:
        raise SectionRefused({"name": [str(exc)]}) from None
    return SectionEntry(found is None, changed)


def _write_rule(workspace: Workspace, name: str, fields: Mapping[str, Any]) -> SectionEntry:
    found = find_by_name(AlertRule.objects.select_related("workspace"), workspace, name)
    rule = found or AlertRule(workspace=workspace)
    try:
        changed = write_rule(rule, {**fields, "name": name}).changed
    except InvalidAlerting as exc:
        raise SectionRefused(exc.errors) from None
    except AlertNameTaken as exc:
        raise SectionRefused({"name": [str(exc)]}) from None
    return SectionEntry(found is None, changed)


def _tell_channels(workspace: Workspace) -> list[dict[str, Any]]:
    return [_tell_channel(row) for row in channels_of(workspace.pk).order_by("name")]


def _tell_channel(row: AlertChannel) -> dict[str, Any]:
    """The name, the place of the URL, and what is not as in a new one."""
    plain = AlertChannel()
    told = {"name": row.name, "url": StoredSecret((row.workspace.name, "channel", row.name, "url"))}
    for field in CHANNEL_FIELDS:
        if field not in told and getattr(row, field) != getattr(plain, field):
            told[field] = getattr(row, field)
    return told


def _tell_rules(workspace: Workspace) -> list[dict[str, Any]]:
    """Without those that every new workspace has, where nobody has changed them."""
    told = [_tell_one_rule(row) for row in rules_of(workspace.pk).order_by("name")]
    return [one for one in told if one not in _DEFAULTS]


def _tell_one_rule(row: AlertRule) -> dict[str, Any]:
    """The name, the kind, and what is not as in a new one."""
    plain = AlertRule()
    told: dict[str, Any] = {"name": row.name, "kind": row.kind}
    for field in ("severity", "enabled", RuleScope.TAG.value):
        if getattr(row, field) != getattr(plain, field):
            told[field] = getattr(row, field)
    for scope in (RuleScope.JOB, RuleScope.CONNECTOR, RuleScope.STREAM):
        if (limit := getattr(row, scope)) is not None:
            told[scope.value] = limit.name
    if names := names_of_channels(row):
        told["channels"] = names
    for name, default in FORMS[RuleKind(row.kind)].defaults.items():
        if row.params.get(name) != default:
            told[name] = row.params.get(name)
    return told


_DEFAULTS = [
    {"name": rule.name, "kind": rule.kind.value}
    | ({} if rule.severity.value == AlertRule().severity else {"severity": rule.severity.value})
    for rule in DEFAULT_RULES
]

CHANNELS = Section(
    "alert_channels", "alert channel", CHANNEL_FIELDS, _write_channel, _tell_channels
)
RULES = Section("alert_rules", "alert rule", RULE_FIELDS, _write_rule, _tell_rules)
