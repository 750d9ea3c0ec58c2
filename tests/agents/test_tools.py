"""Which tools there are, what is told of each, and what the plainest of them answer."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.utils import timezone
from pytest_django import Settings

from api.mcp.describing import describe_tools
from api.mcp.eras import LEGACY, MODERN
from api.mcp.tools.encoding import BYTES_MAX
from api.mcp.tools.schemas import describe_tool
from api.mcp.tools.table import TOOLS
from connectors.models import Connector, ConnectorStatus
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.agents.asking import agent
from tests.agents.things import Things, checked, make_file_job, make_things
from tests.alerts.making import make_alert, make_rule
from tests.api.asking import asker
from tests.outbox.hosts import running_receiver, stream_to
from tests.rows import make_workspace
from workspaces.models import AuditEntry, Role

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]

# The tools that others rely on, in this order.
AGREED = [
    "list_connectors",
    "test_connector",
    "connectivity_status",
    "list_sync_jobs",
    "start_sync",
    "stop_sync",
    "start_auto_sync",
    "stop_auto_sync",
    "sync_status",
    "list_sync_records",
    "explain_sync_record",
    "cleanup_stuck_syncs",
    "download_configuration",
    "send_heartbeat",
    "outbox_status",
    "search_datasets",
    "list_files",
    "read_file",
    "list_entities",
    "preview_rows",
    "query_table",
    "list_alerts",
]


@pytest.fixture
def things(db: None) -> Things:
    return make_things()


@pytest.mark.parametrize("version", [MODERN, *LEGACY])
def test_b01_all_tools_are_listed_in_a_fixed_order(version: str) -> None:
    tools = agent(Role.ADMIN, version).result("tools/list")["tools"]
    names = [tool["name"] for tool in tools]
    assert names == AGREED
    for tool in tools:
        assert set(tool) == {
            "name",
            "title",
            "description",
            "inputSchema",
            "outputSchema",
            "annotations",
        }
        assert tool["title"]
        assert len(tool["description"]) > 60
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["inputSchema"]["type"] == tool["outputSchema"]["type"] == "object"
        assert set(tool["annotations"]) == {
            "title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint",
        }  # fmt: skip
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            jsonschema_rs.meta.validate(
                {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"}
            )
        # Models are given this schema by services that take no choice at its root.
        assert not {"anyOf", "oneOf", "allOf"} & set(tool["inputSchema"])


def test_no_tool_takes_a_workspace() -> None:
    for tool in TOOLS.values():
        assert "workspace" not in describe_tool(tool)["inputSchema"]["properties"]


def test_the_page_of_tools_is_made_from_the_table() -> None:
    page = (ROOT / "docs" / "mcp_tools.md").read_text()
    assert page == describe_tools(), "python -m api.mcp.describing > docs/mcp_tools.md"


def test_a_misspelt_argument_is_told_in_band() -> None:
    error = checked(agent(), "list_connectors", limmit=3)["error"]
    assert (error["code"], list(error["errors"])) == ("invalid_arguments", ["limmit"])


@pytest.mark.parametrize(
    ("tool", "arguments", "field", "choices"),
    [
        ("list_connectors", {"kind": "nope"}, "kind", "sftp"),
        ("list_connectors", {"status": "nope"}, "status", ", ".join(ConnectorStatus.values)),
        ("list_sync_records", {"state": "nope"}, "state", ", ".join(State)),
        ("list_alerts", {"severity": "nope"}, "severity", "info, warning, critical"),
        ("search_datasets", {"query": "a", "mode": "nope"}, "mode", "both, words, meaning"),
        (
            "query_table",
            {"dataset": "a", "where": [{"column": "a", "op": "nope", "value": 1}]},
            "where[0].op",
            "eq, ne, lt, le, gt, ge, in, like, is_null",
        ),
    ],
)
def test_of_a_word_that_is_not_to_choose_the_choices_are_told(
    db: None, tool: str, arguments: dict[str, Any], field: str, choices: str
) -> None:
    error = checked(agent(), tool, **arguments)["error"]
    assert error["code"] == "invalid_arguments"
    [words] = error["errors"][field]
    assert words.startswith("Invalid enum value 'nope': give one of ")
    assert choices in words


def test_connectors_are_told_as_by_rest_without_options(things: Things) -> None:
    told = checked(agent(), "list_connectors", kind="sftp")
    by_rest = asker().get("connectors", {"kind": "sftp"}).json()
    for item in by_rest["items"]:
        del item["options"]
    assert told == by_rest
    assert [one["kind"] for one in told["items"]] == ["sftp"]
    assert checked(agent(), "list_connectors", status="paused")["items"] == []


def test_lists_go_on_where_they_ended(db: None) -> None:
    for number in range(5):
        make_file_job(name=f"job-{number}")
    found: list[str] = []
    cursor: str | None = None
    while True:
        more: dict[str, Any] = {"cursor": cursor} if cursor else {}
        told = checked(agent(), "list_sync_jobs", limit=2, **more)
        found += [one["name"] for one in told["items"]]
        cursor = told["next"]
        if cursor is None:
            break
    assert found == [f"job-{number}" for number in range(5)]


def test_jobs_are_told_in_a_line_each(things: Things) -> None:
    SyncJob.objects.update(paused_reason="5 failures", last_error="gone")
    [line] = checked(agent(), "list_sync_jobs", connector=things.connector.name, enabled=True)[
        "items"
    ]
    assert (line["name"], line["connector"], line["dataset"]) == (
        things.job.name, things.connector.name, things.files.name,
    )  # fmt: skip
    assert (line["paused_reason"], line["last_error"], bool(line["schedule_words"])) == (
        "5 failures",
        "gone",
        True,
    )
    assert checked(agent(), "list_sync_jobs", enabled=False)["items"] == []


def test_alerts_are_told_as_by_rest(db: None) -> None:
    rule = make_rule(severity="critical")
    rows = [make_alert(rule, opened_ago=timedelta(hours=n)) for n in range(1, 4)]
    make_alert(rule, firing=False)
    make_alert(make_rule("other"), silenced_until=timezone.now() + timedelta(hours=1))
    told = checked(agent(), "list_alerts", state="firing", severity="critical")
    by_rest = asker().get("alerts", {"state": "firing", "severity": "critical"}).json()
    for one in (*told["items"], *by_rest["items"]):
        assert one.pop("url").endswith(f"/admin/syncjobs/syncjob/{one['subject']['id']}/")
    assert told == by_rest
    assert [one["id"] for one in told["items"]] == [str(row.pk) for row in rows]
    assert len(checked(agent(), "list_alerts")["items"]) == 5
    first = checked(agent(), "list_alerts", limit=2)
    second = checked(agent(), "list_alerts", limit=3, cursor=first["next"])
    assert (len(second["items"]), second["next"]) == (3, None)
    error = checked(agent(), "list_alerts", state="angry")["error"]
    assert (error["code"], list(error["errors"])) == ("invalid_arguments", ["state"])
    make_alert(make_rule("theirs", workspace=make_workspace("lab")))
    assert len(checked(agent(), "list_alerts")["items"]) == 5


def test_records_are_told_as_by_rest(things: Things) -> None:
    told = checked(
        agent(),
        "list_sync_records",
        job=things.job.name,
        state="queued",
        since="2026-01-01T00:00:00Z",
    )
    assert told == asker().get("sync-records", {"job": things.job.name}).json()
    [status] = checked(agent(), "sync_status", job=things.job.name)["items"]
    assert (status["job"], status["running"]) == (things.job.name, False)
    assert status["current"] == status["latest"] == told["items"][0]
    assert checked(agent(), "list_sync_records", until="2026-01-01")["items"] == []


def test_a_record_is_explained(things: Things) -> None:
    SyncRecord.objects.update(
        state=State.FAILED,
        error="the host refuses the log-in",
        error_code="auth_refused",
        finished_at=things.record.queued_at,
    )
    told = checked(agent(), "explain_sync_record", record=str(things.record.pk))
    assert told["explanation"] == "Failed: the host refuses the log-in."
    assert any("user name and secret" in one for one in told["advice"])
    assert told["record"]["id"] == str(things.record.pk)


def test_the_status_of_many_jobs_stops_before_it_is_too_long(db: None) -> None:
    """And names the job that would come next."""
    for number in range(60):
        things_of = make_file_job(name=f"job-{number:02}")
        SyncRecord.objects.create(
            workspace=things_of.workspace, job=things_of, connector=things_of.connector, trigger="manual",
            mode="incremental", error="x" * 500,
        )  # fmt: skip
    told = checked(agent(), "sync_status")
    assert 5 < len(told["items"]) < 60
    assert len(json.dumps(told, ensure_ascii=False).encode()) > BYTES_MAX / 2
    [following] = checked(agent(), "sync_status", job=told["next"])["items"]
    assert following["job"] == f"job-{len(told['items']):02}"
    assert "next" not in checked(agent(), "sync_status", job="job-01")


def test_a_record_of_very_many_tables_is_shortened(things: Things) -> None:
    tables = [{"name": f"table-{number}", "state": "succeeded"} for number in range(500)]
    SyncRecord.objects.update(tables=tables)
    told = checked(agent(), "explain_sync_record", record=str(things.record.pk))
    assert 10 < len(told["record"]["tables"]) < 500


def test_connectivity_is_told_as_by_rest(things: Things) -> None:
    told = checked(agent(), "connectivity_status", connector=things.connector.name)
    assert told == asker().get(f"connectors/{things.connector.pk}/connectivity").json()


def test_a_test_of_a_connector_is_an_answer_and_audited(things: Things, settings: Settings) -> None:
    settings.ALLOWED_NETWORKS = ("198.51.100.0/24",)  # nothing is dialled
    told = checked(agent(Role.OPERATOR), "test_connector", connector=things.connector.name)
    assert told["passed"] is False
    assert "failed" in [stage["outcome"] for stage in told["stages"]]
    entry = AuditEntry.objects.get(action="test_connector")
    assert (entry.door, entry.actor, entry.object_id) == (
        "mcp",
        "token agent",
        str(things.connector.pk),
    )


def test_streams_are_told_by_name(things: Things) -> None:
    [line] = checked(agent(), "outbox_status")["items"]
    assert line.pop("stream") == things.stream.name
    assert line == asker().get(f"streams/{things.stream.pk}/status").json()


def test_a_client_system_is_asked_and_told(db: None, tmp_path: Path) -> None:
    with running_receiver(tmp_path / "log") as receiver:
        stream = stream_to(receiver)
        who = agent(Role.OPERATOR)
        told = checked(who, "send_heartbeat", stream=stream.name)
        assert told["accepted"] is True
        first = checked(who, "download_configuration", stream=stream.name)
        assert (first["version"], first["changed"]) == (1, True)
        assert checked(who, "download_configuration", stream=stream.name)["changed"] is False
    assert AuditEntry.objects.filter(door="mcp").count() == 3


def test_a_client_system_that_is_away_is_told(things: Things) -> None:
    who = agent(Role.OPERATOR)
    assert checked(who, "send_heartbeat", stream=things.stream.name)["accepted"] is False
    error = checked(who, "download_configuration", stream=things.stream.name)["error"]
    assert error["code"] == "unavailable"


def test_secrets_and_options_stand_in_no_answer(things: Things) -> None:
    Connector.objects.update(
        sealed_secret="x", options={"username": "sync", "root": "/hidden-root"}
    )
    told = checked(agent(), "list_connectors")
    assert "hidden-root" not in json.dumps(told)
    assert all("options" not in item for item in told["items"])
