"""`alert_channels:` and `alert_rules:` in the configuration as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alerts.channel_secrets import unseal_channel_url
from alerts.models import AlertChannel, AlertRule
from cli.configfile import dump, load
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from tests.alerts.making import make_channel
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

URL = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
AS_TEXT = """\
workspaces:
  - name: acme
    connectors:
      - {name: reports-host, kind: sftp, host: files.example.com, options: {username: sync}}
    sync_jobs:
      - {name: nightly-reports, connector: reports-host, schedule: {cron: "0 2 * * *"}}
    alert_rules:
      - {name: nightly, kind: failure, job: nightly-reports, severity: critical}
      - {name: three-in-a-row, kind: failures_in_a_row, count: "${env:TIMES}", tag: nightly, channels: [ops]}
      - {name: slow, kind: overdue, connector: reports-host, enabled: false}
    alert_channels:
      - {name: ops, url: "${env:OPS_CHANNEL}", min_severity: warning, quiet_hours: 22:00-07:00, timezone: Europe/Berlin,
         breaks_quiet: critical, group_s: 30, most_per_hour: 20, enabled: true}
"""
ENVIRONMENT = {"OPS_CHANNEL": URL, "TIMES": "3"}


def parse(tmp_path: Path, text: str, environment: dict[str, str]) -> Any:
    path = tmp_path / "sync.yaml"
    path.write_text(text)
    return load(path, environment).document


def entry(section: str, **fields: Any) -> dict[str, Any]:
    return {"workspaces": [{"name": "acme", section: [fields]}]}


def without_defaults(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row["name"].startswith("default-")]


def test_channels_and_rules_are_applied_exported_and_applied_again(tmp_path: Path) -> None:
    document = parse(tmp_path, AS_TEXT, ENVIRONMENT)
    first = apply_configuration(document)
    made = [(one.noun, one.name) for one in first if one.action == "created"]
    assert made[-4:] == [
        ("alert channel", "ops"), ("alert rule", "nightly"), ("alert rule", "three-in-a-row"), ("alert rule", "slow"),
    ]  # fmt: skip
    assert unseal_channel_url(AlertChannel.objects.get(name="ops")) == URL
    assert AlertRule.objects.get(name="three-in-a-row").params == {"count": 3}
    assert {one.action for one in apply_configuration(document)} == {"unchanged"}

    export = export_configuration(Workspace.objects.all())
    text = dump(export.document)
    assert export.variables == ("ACME_CHANNEL_OPS_URL",)
    assert "${env:ACME_CHANNEL_OPS_URL}" in text
    assert "slack" not in text
    told = parse(tmp_path, text, {"ACME_CHANNEL_OPS_URL": URL})
    workspace = told["workspaces"][0]
    assert workspace["alert_channels"] == [
        {
            "name": "ops", "url": URL, "min_severity": "warning", "quiet_hours": "22:00-07:00",
            "timezone": "Europe/Berlin",
        }
    ]  # fmt: skip
    assert without_defaults(workspace["alert_rules"]) == [
        {"name": "nightly", "kind": "failure", "severity": "critical", "job": "nightly-reports"},
        {"name": "slow", "kind": "overdue", "enabled": False, "connector": "reports-host"},
        {
            "name": "three-in-a-row", "kind": "failures_in_a_row", "tag": "nightly", "channels": ["ops"], "count": 3,
        },
    ]  # fmt: skip
    assert {one.action for one in apply_configuration(told)} == {"unchanged"}


def test_a_file_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    apply_configuration(parse(tmp_path, AS_TEXT, ENVIRONMENT))
    (*_, channel) = apply_configuration(entry("alert_channels", name="ops", group_s="5"))
    assert (channel.action, channel.fields) == ("changed", ("group_s",))
    (*_, channel) = apply_configuration(entry("alert_channels", name="ops", url="json://a.example"))
    assert (channel.action, channel.fields) == ("changed", ("url",))
    (*_, rule) = apply_configuration(entry("alert_rules", name="nightly", tag="night"))
    assert (rule.action, set(rule.fields)) == ("changed", {"job", "tag"})
    (*_, rule) = apply_configuration(entry("alert_rules", name="slow", factor=7, channels=["ops"]))
    assert (rule.action, set(rule.fields)) == ("changed", {"factor", "channels"})
    before = AlertRule.objects.get(name="slow").params
    apply_configuration(entry("alert_rules", name="slow", factor=9), dry_run=True)
    assert AlertRule.objects.get(name="slow").params == before == {"factor": 7}


def test_secrets_whose_variables_would_share_a_name_get_names_of_their_own() -> None:
    make_channel("a-b", "json://one.example.com")
    make_channel("a.b", "json://two.example.com")
    first, second = export_configuration(Workspace.objects.all()).variables
    assert first != second
    assert first.startswith("ACME_CHANNEL_A_B_URL_")


@pytest.mark.parametrize(
    ("section", "fields", "place"),
    [
        ("alert_channels", {}, "url"),
        ("alert_channels", {"url": "syslog://"}, "url"),
        ("alert_channels", {"url": URL, "quiet_hours": 79200}, "quiet_hours"),
        ("alert_channels", {"url": URL, "timezone": "Mars"}, "timezone"),
        ("alert_channels", {"url": URL, "group_s": "often"}, "group_s"),
        ("alert_channels", {"url": URL, "most_per_hour": 1.5}, "most_per_hour"),
        ("alert_channels", {"url": URL, "quiet": 1}, "quiet"),
        ("alert_rules", {}, "kind"),
        ("alert_rules", {"kind": "failures"}, "kind"),
        ("alert_rules", {"kind": "failures_in_a_row"}, "count"),
        ("alert_rules", {"kind": "failures_in_a_row", "count": "many"}, "count"),
        ("alert_rules", {"kind": "failures_in_a_row", "count": float("nan")}, "count"),
        ("alert_rules", {"kind": "failure", "count": 3}, "count"),
        ("alert_rules", {"kind": "failure", "params": {"count": 3}}, "params"),
        ("alert_rules", {"kind": "failure", "job": "nobody"}, "job"),
        ("alert_rules", {"kind": "failure", "channels": ["nobody"]}, "channels"),
        ("alert_rules", {"kind": "failure", "channels": "ops"}, "channels"),
        ("alert_rules", {"kind": "failure", "tag": "a\0b"}, "tag"),
        ("alert_rules", {"kind": "failure", "tag": ["a"]}, "tag"),
        ("alert_rules", {"kind": "failure", "enabled": "perhaps"}, "enabled"),
        ("alert_rules", {"kind": "failure", "severity": "warn"}, "severity"),
    ],
)
def test_an_entry_that_does_not_fit_changes_nothing(
    section: str, fields: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        apply_configuration(entry(section, name="x", **fields))
    assert [one.path for one in caught.value.problems] == [("workspaces", 0, section, 0, place)]
    assert not Workspace.objects.exists()
