"""A rule's written form, as REST, YAML and the console have it, becomes a row. Parameters stand in it like other fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction

from alerts.configuration.refusals import AlertNameTaken, Errors, InvalidAlerting, fill_plain
from alerts.core.parameters import FORMS, PARAMETERS, InvalidParameters, RuleScope, read_parameters
from alerts.core.words import RuleKind
from alerts.models import AlertChannel, AlertRule
from connectors.models import Connector
from outbox.models import Stream
from syncjobs.models import SyncJob
from workspaces import auditing
from workspaces.lookup import find_by_name, find_row

_PLAIN = ("name", "kind", "severity", "enabled")
RULE_FIELDS = (*_PLAIN, *RuleScope, "channels", *PARAMETERS)
CHANNELS_MAX = 100
_ROWS: dict[RuleScope, tuple[type[models.Model], str]] = {
    RuleScope.JOB: (SyncJob, "job"),
    RuleScope.CONNECTOR: (Connector, "connector"),
    RuleScope.STREAM: (Stream, "stream"),
}


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """`changed` names the fields that a stored one got anew."""

    rule: AlertRule
    changed: tuple[str, ...]


@transaction.atomic
def write_rule(given: AlertRule, fields: Mapping[str, Any]) -> WrittenRule:
    """Gives a new or stored rule the fields of its written form. A field that is not named stays; null is the default. A
    scope that is named takes the place of another, and parameters of a former kind go. Raises InvalidAlerting,
    AlertNameTaken, and IntegrityError where the name was taken at that moment."""
    stored = _hold_rule(given)
    rule = _hold_rule(given) or given
    errors = _find_missing(fields) if stored is None else {}
    errors |= fill_plain(rule, fields, [name for name in _PLAIN if name not in errors])
    _fill_scope(rule, fields, errors)
    channels = _read_channels(rule, fields, errors)
    if "kind" not in errors:
        _check_scope(rule, errors)
        _fill_parameters(rule, stored, fields, errors)
    if errors:
        raise InvalidAlerting(errors)
    changed = _list_changes(rule, stored)
    before = [] if stored is None else names_of_channels(stored)
    after = before if channels is None else sorted(one.name for one in channels)
    if after != before:
        changed.append("channels")
    if stored is not None and not changed:
        return WrittenRule(rule, ())
    if "name" in changed:
        others = AlertRule.objects.exclude(pk=rule.pk)
        if find_by_name(others, rule.workspace, rule.name) is not None:
            raise AlertNameTaken(f"There is an alert rule {rule.name} in this workspace already")
    rule.save()
    if channels is not None and after != before:
        rule.channels.set(channels)
    auditing.note_saved(rule, stored, {"channels": [before, after]} if after != before else {})
    return WrittenRule(rule, tuple(changed))


@transaction.atomic
def delete_rule(rule: AlertRule) -> None:
    """Its alerts go with it."""
    in_order = rule.alerts.order_by("subject_kind", "subject_id")  # as the watch locks them
    list(in_order.select_for_update().values_list("pk"))
    auditing.note_deleted(rule)
    rule.delete()


def names_of_channels(rule: AlertRule) -> list[str]:
    return sorted(one.name for one in rule.channels.all())


def _hold_rule(rule: AlertRule) -> AlertRule | None:
    rows = AlertRule.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("workspace").filter(pk=rule.pk).first()


def _find_missing(fields: Mapping[str, Any]) -> Errors:
    return {
        name: ["a rule needs it"] for name in ("name", "kind") if fields.get(name) in (None, "")
    }


def _list_changes(rule: AlertRule, stored: AlertRule | None) -> list[str]:
    """By the names of the written form."""
    columns = {name: name for name in (*_PLAIN, RuleScope.TAG)}
    columns |= {scope.value: f"{scope}_id" for scope in _ROWS}
    changed = [
        name
        for name, column in columns.items()
        if stored is None or getattr(rule, column) != getattr(stored, column)
    ]
    params = {} if stored is None else stored.params
    return changed + [name for name in PARAMETERS if rule.params.get(name) != params.get(name)]


def _fill_scope(rule: AlertRule, fields: Mapping[str, Any], errors: Errors) -> None:
    given = [scope for scope in RuleScope if fields.get(scope) not in (None, "")]
    if len(given) > 1:
        words = f"a rule has one scope at most: give one of {', '.join(given)}"
        errors |= {scope: [words] for scope in given}
        return
    for scope in RuleScope:
        if scope not in fields and not given:
            continue
        called = fields[scope] if scope in given else None
        if scope is RuleScope.TAG:
            errors |= fill_plain(rule, {scope: called}, [scope])
        else:
            _fill_scope_row(rule, scope, called, errors)


def _fill_scope_row(rule: AlertRule, scope: RuleScope, called: Any, errors: Errors) -> None:
    model, noun = _ROWS[scope]
    found = None
    if called is not None:
        found = find_row(model._default_manager.all(), rule.workspace, str(called))
        if found is None:
            errors[scope] = [f"no {noun} {str(called)[:100]!r} in this workspace"]
    setattr(rule, scope, found)


def _check_scope(rule: AlertRule, errors: Errors) -> None:
    """A rule that can never find anything is refused."""
    admitted = FORMS[RuleKind(rule.kind)].scopes
    for scope in RuleScope:
        has_scope = rule.tag != "" if scope is RuleScope.TAG else getattr(rule, f"{scope}_id")
        if has_scope and scope not in admitted:
            limits = f"only by {', '.join(admitted)}" if admitted else "by nothing"
            errors.setdefault(scope, [f"a rule of kind {rule.kind} is limited {limits}"])


def _fill_parameters(
    rule: AlertRule, stored: AlertRule | None, fields: Mapping[str, Any], errors: Errors
) -> None:
    given = {name: fields[name] for name in PARAMETERS if name in fields}
    kept = stored.params if stored is not None and stored.kind == rule.kind else None
    try:
        rule.params = read_parameters(RuleKind(rule.kind), given, kept)
    except InvalidParameters as exc:
        errors |= exc.errors


def _read_channels(
    rule: AlertRule, fields: Mapping[str, Any], errors: Errors
) -> list[AlertChannel] | None:
    """None: they stay."""
    if "channels" not in fields:
        return None
    given = fields["channels"] or []
    if not isinstance(given, list) or len(given) > CHANNELS_MAX:
        errors["channels"] = [f"give a list of at most {CHANNELS_MAX} channels, by name or id"]
        return None
    found = {}
    for called in given:
        channel = find_row(AlertChannel.objects.all(), rule.workspace, str(called))
        if channel is None:
            words = f"no alert channel {str(called)[:100]!r} in this workspace"
            errors.setdefault("channels", []).append(words)
        else:
            found[channel.pk] = channel
    return list(found.values())
