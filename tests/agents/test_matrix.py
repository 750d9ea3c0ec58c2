"""Roles, tools and two workspaces: who sees a tool, what is another workspace's, and odd arguments (P12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from api.mcp.eras import LEGACY, MODERN
from api.mcp.tools.table import TOOLS
from syncjobs.models import SyncRecord
from tests.agents.asking import Agent, agent
from tests.agents.things import Things, arguments_of, checked, make_things
from tests.rows import make_workspace
from workspaces.models import AuditEntry, PlanToken, Role

pytestmark = pytest.mark.django_db(transaction=True)
every_tool = pytest.mark.parametrize("tool", TOOLS)
# Of these no argument names a thing, and of these one narrows a list.
OF_ALL = {"list_connectors", "cleanup_stuck_syncs", "list_alerts"}
FILTERED = {"list_sync_jobs", "list_sync_records"}
# The others would call the far end of what they find.
CALLS_NOBODY = [
    name for name, tool in TOOLS.items() if tool.is_planned or not tool.hints.open_world
]
NOTHING = "00000000-0000-0000-0000-000000000000"


def ids_of(things: Things) -> set[str]:
    found = {str(row.pk) for row in vars_of(things)}
    return found | {getattr(row, "name", None) or "no name" for row in vars_of(things)}


def vars_of(things: Things) -> list[Any]:
    return [getattr(things, name) for name in Things.__dataclass_fields__]


def call(who: Agent, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = who.ask("tools/call", {"name": tool, "arguments": arguments})
    return told


@pytest.mark.parametrize("version", [MODERN, LEGACY[0]])
@pytest.mark.parametrize("role", Role)
def test_b03_each_role_sees_its_tools_and_no_other(role: Role, version: str) -> None:
    who = agent(role, version)
    seen = [tool["name"] for tool in who.result("tools/list")["tools"]]
    assert seen == [name for name, tool in TOOLS.items() if role.covers(tool.role)]
    for name in TOOLS:
        told = call(who, name, {"nonsense": 1})
        if name in seen:
            assert told["result"]["structuredContent"]["error"]["code"] == "invalid_arguments"
        else:
            assert told["error"]["code"] == -32602
            assert told["error"]["message"].startswith("Unknown tool")


def test_b03_a_viewer_is_told_the_same_of_a_tool_that_it_may_not_use_and_of_none() -> None:
    who = agent(Role.VIEWER)
    words = [call(who, name, {})["error"] for name in ("start_sync", "sing")]
    assert [{**one, "message": one["message"].split(":")[0]} for one in words] == [
        {"code": -32602, "message": "Unknown tool"}
    ] * 2
    assert (PlanToken.objects.count(), AuditEntry.objects.filter(door="mcp").count()) == (0, 0)


@every_tool
def test_what_is_of_another_workspace_is_answered_as_what_is_not_there(tool: str) -> None:
    """By id and by name, and nothing of it stands in any answer."""
    ours, theirs = make_things("acme"), make_things("lab")
    before = SyncRecord.objects.filter(workspace=theirs.job.workspace).count()
    who = agent(Role.ADMIN, workspace=make_workspace("acme"))
    named = arguments_of(theirs)[tool]
    answers = [checked(who, tool, **named), checked(who, tool, **by_name(theirs, tool))]
    if tool in FILTERED:
        assert [told["items"] for told in answers] == [[], []]
    elif tool not in OF_ALL:
        missing = checked(who, tool, **(named | dict.fromkeys([*named][:1], NOTHING)))
        assert missing["error"]["code"] == "not_found"
        assert answers == [missing, missing]
    if tool in CALLS_NOBODY:
        answers.append(checked(who, tool, **arguments_of(ours)[tool]))
        assert "error" not in answers[-1]
    text = repr(answers)
    assert not [secret for secret in ids_of(theirs) if secret in text]
    assert SyncRecord.objects.filter(workspace=theirs.job.workspace).count() == before
    assert not AuditEntry.objects.filter(door="mcp", workspace=theirs.job.workspace).exists()


def by_name(things: Things, tool: str) -> dict[str, Any]:
    names = {str(row.pk): row.name for row in vars_of(things) if hasattr(row, "name")}
    given = arguments_of(things)[tool]
    return {name: names.get(value, value) for name, value in given.items()}


@pytest.mark.parametrize("tool", CALLS_NOBODY)
def test_what_is_ours_is_found_by_its_name(tool: str) -> None:
    assert "error" not in checked(agent(Role.ADMIN), tool, **by_name(make_things(), tool))


ODD: list[Any] = [
    None, True, 0, -1, 101, 2**31, 2**63, 10**30, 1e308, 1.5, "", "\0", "a\0b", "\n", "x" * 30_000,
    "../../etc/passwd", "%00", "'; DROP TABLE x; --", "⁠‮", "\uf0ff", [], [None], ["\0"], {}, {"a": {"b": [1]}},
    "00000000-0000-0000-0000-000000000000", "2026-13-45", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
]  # fmt: skip


def odd_arguments(tool: str, good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {}
    yield {**good, "workspace": "lab"}
    yield {**good, "x" * 10_000: 1}
    for name in TOOLS[tool].arguments.__struct_fields__:
        for value in ODD:
            yield {**good, name: value}


@every_tool
def test_odd_arguments_are_refused_in_band(tool: str) -> None:
    """Never as an error of ours: neither of the protocol nor of HTTP."""
    who = agent(Role.ADMIN)
    good = arguments_of(make_things())[tool]
    for arguments in odd_arguments(tool, good):
        if tool not in CALLS_NOBODY and is_good(arguments, good):
            continue
        told = checked(who, tool, **arguments)
        if "error" in told:
            assert "error of ours" not in told["error"]["detail"], arguments
            assert told["error"]["code"] in {
                "invalid_arguments",
                "not_found",
                "plan_unknown",
                "not_allowed",
            }, told


def is_good(arguments: dict[str, Any], good: dict[str, Any]) -> bool:
    """Whether what is named is there, so that it would be called."""
    return all(arguments.get(name) == value for name, value in good.items() if name != "limit")


@pytest.mark.parametrize(
    "arguments",
    [
        '{"job": "\\ud800"}',
        '{"job": "\\u0000"}',
        '{"job": ' + "9" * 5_000 + "}",
        '{"job": 1e999}',
        '{"job": ' + "[" * 90 + "]" * 90 + "}",
        '{"limit": 20.0}',
        '{"limit": "20"}',
        '{"state": "running"}',
        "[]",
        '"text"',
        "null",
    ],
)
def test_odd_json_of_arguments_is_no_error_of_ours(arguments: str) -> None:
    who = agent(Role.ADMIN)
    message = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_sync_records","arguments":%s,"_meta":%s}}'
    meta = '{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'
    body = message % (arguments, meta)
    told = who.send(body, Mcp_Method="tools/call", Mcp_Name="list_sync_records")
    assert told.status_code in (200, 400)
    answer = told.json()
    assert answer.get("error", {}).get("code") in (None, -32700, -32600, -32602)
    if "result" in answer and answer["result"]["isError"]:
        assert answer["result"]["structuredContent"]["error"]["code"] == "invalid_arguments"


def test_hints_are_those_of_the_table() -> None:
    """One table is what is checked and what is told."""
    told = {tool["name"]: tool for tool in agent(Role.ADMIN).result("tools/list")["tools"]}
    for name, tool in TOOLS.items():
        hints = told[name]["annotations"]
        assert hints["readOnlyHint"] is not tool.hints.writes
        assert (hints["destructiveHint"], hints["idempotentHint"], hints["openWorldHint"]) == (
            tool.hints.destroys, tool.hints.idempotent, tool.hints.open_world,
        )  # fmt: skip
        assert not tool.is_planned or tool.hints.writes
        assert tool.hints.writes or not any(
            asdict(tool.hints)[one] for one in ("writes", "destroys")
        )
