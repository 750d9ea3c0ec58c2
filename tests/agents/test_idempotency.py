"""A call of a tool that writes, sent again with its Idempotency-Key, acts once."""

from __future__ import annotations

from typing import Any

import pytest

from api.mcp.caller import McpCaller
from api.mcp.tools import calling
from api.mcp.tools.tool import Arguments, Hints, Tool, ToolFailed
from tests.agents.asking import Agent, agent
from workspaces.models import AuditEntry, Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
SHAPE = {"type": "object"}


class MakeArguments(Arguments):
    name: str
    plan_token: str | None = None


def _make(caller: McpCaller, given: MakeArguments) -> dict[str, Any]:
    """Leaves a trace in the audit trail; `late` fails behind it."""
    if given.plan_token is None:
        return {"state": "planned", "plan_token": "p"}
    create_token(caller.workspace, name=given.name, role=Role.VIEWER)
    if given.name == "late":
        raise ToolFailed("busy", "Another one is at it.")
    return {"state": "done", "name": given.name}


def tool(**fields: Any) -> Tool:
    given: dict[str, Any] = {
        "name": "make",
        "title": "Make",
        "description": "Makes.",
        "role": Role.OPERATOR,
        "hints": Hints(writes=True, idempotent=False),
        "arguments": MakeArguments,
        "answer": SHAPE,
        "call": _make,
    }
    return Tool(**given | fields)


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = {"make": tool(), "ask": tool(name="ask", keeps_answer=False)}
    tools["look"] = tool(name="look", hints=Hints())
    monkeypatch.setattr(calling, "TOOLS", tools)


def make(who: Agent, key: str, tool: str = "make", **arguments: Any) -> Any:
    return who.send(
        who.message("tools/call", {"name": tool, "arguments": arguments}), Idempotency_Key=key
    )


def made() -> int:
    return AuditEntry.objects.filter(door="mcp", action="created").count()


def test_the_second_call_is_answered_as_the_first() -> None:
    who = agent(Role.OPERATOR)
    first, again = (make(who, "a", name="x", plan_token="p").json() for _ in range(2))
    assert first["result"]["structuredContent"] == {"state": "done", "name": "x"}
    assert again["result"]["structuredContent"] == {"state": "done", "name": "x"}
    assert made() == 1
    make(who, "b", name="x", plan_token="p")
    make(agent(Role.OPERATOR, name="another"), "a", name="x", plan_token="p")
    assert made() == 3


def test_what_was_only_planned_is_kept_by_no_key() -> None:
    who = agent(Role.OPERATOR)
    assert make(who, "a", name="x").json()["result"]["structuredContent"]["state"] == "planned"
    assert make(who, "a", name="x", plan_token="p").json()["result"]["isError"] is False
    assert made() == 1


def test_what_failed_is_undone_and_may_be_tried_again() -> None:
    who = agent(Role.OPERATOR)
    for _ in range(2):
        told = make(who, "a", name="late", plan_token="p").json()["result"]
        assert told["structuredContent"]["error"]["code"] == "busy"
    assert made() == 0


def test_a_key_of_another_call_is_refused() -> None:
    who = agent(Role.OPERATOR)
    make(who, "a", name="x", plan_token="p")
    told = make(who, "a", name="y", plan_token="p")
    assert (told.status_code, told["Content-Type"]) == (422, "application/problem+json")
    assert make(who, "no blank", name="x", plan_token="p").status_code == 400
    assert make(who, "a", "ask", name="x", plan_token="p").status_code == 400
    assert make(who, "no blank", "look", name="x").status_code == 200
