"""The first tools, by both eras of the protocol."""

from __future__ import annotations

import pytest

from api.mcp.eras import LEGACY, MODERN
from tests.agents.asking import agent
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("version", [MODERN, *LEGACY])
def test_tools_are_listed_with_their_schemas_and_hints(version: str) -> None:
    tools = agent(Role.VIEWER, version).result("tools/list")["tools"]
    assert [tool["name"] for tool in tools][:1] == ["list_connectors"]
    for tool in tools:
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["outputSchema"]["type"] == "object"
        assert {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} <= set(
            tool["annotations"]
        )


def test_a_misspelt_argument_is_told_in_band() -> None:
    told = agent().result("tools/call", {"name": "list_connectors", "arguments": {"limmit": 3}})
    assert told["isError"] is True
    error = told["structuredContent"]["error"]
    assert (error["code"], list(error["errors"])) == ("invalid_arguments", ["limmit"])
