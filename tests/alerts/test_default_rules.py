"""A workspace begins with rules, by whatever door it was made."""

from __future__ import annotations

import pytest

from alerts.configuration.defaults import DEFAULT_RULES
from alerts.models import AlertRule
from syncjobs.configuration.yaml_out import export_configuration
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

EXPECTED = [
    ("default-disk", "disk", "critical"),
    ("default-failure", "failure", "warning"),
    ("default-held", "held", "warning"),
    ("default-index-behind", "index_behind", "info"),
    ("default-nothing-ran", "nothing_ran", "warning"),
]


def rules_of(workspace: Workspace) -> list[tuple[str, str, str]]:
    rules = AlertRule.objects.filter(workspace=workspace, enabled=True).order_by("name")
    return list(rules.values_list("name", "kind", "severity"))


def test_a_new_workspace_has_the_default_rules() -> None:
    assert rules_of(Workspace.objects.create(name="acme")) == EXPECTED
    assert (
        sorted((rule.name, rule.kind.value, rule.severity.value) for rule in DEFAULT_RULES)
        == EXPECTED
    )


def test_a_rule_that_a_person_deleted_stays_away() -> None:
    workspace = Workspace.objects.create(name="acme")
    AlertRule.objects.filter(workspace=workspace, name="default-disk").delete()
    workspace.max_running = 3
    workspace.save()
    assert rules_of(workspace) == EXPECTED[1:]


def test_rules_that_nobody_has_changed_are_no_part_of_the_configuration() -> None:
    workspaces = Workspace.objects.filter(pk=Workspace.objects.create(name="acme").pk)
    assert export_configuration(workspaces).document == {"workspaces": [{"name": "acme"}]}
    AlertRule.objects.filter(name="default-disk").update(params={"free_percent": 5})
    AlertRule.objects.filter(name="default-held").update(enabled=False)
    [told] = export_configuration(workspaces).document["workspaces"]
    assert told["alert_rules"] == [
        {"name": "default-disk", "kind": "disk", "severity": "critical", "free_percent": 5},
        {"name": "default-held", "kind": "held", "enabled": False},
    ]
