"""An agent with a token, asking `/mcp` in the test's own process, by either era of the protocol."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from django.test import Client

from api.mcp.eras import LEGACY, META_CAPABILITIES, META_VERSION, MODERN
from tests.rows import make_workspace
from workspaces.models import Role, Workspace
from workspaces.tokens import create_token

NAMES = {"tools/call": "name", "resources/read": "uri"}


@dataclass(frozen=True)
class Agent:
    """`capabilities`: what the client says that it can do."""

    token: str
    version: str = MODERN
    capabilities: dict[str, Any] | None = None

    def ask(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> Any:
        """The answer as JSON-RPC."""
        return self.send(self.message(method, params), **headers).json()

    def result(self, method: str, params: dict[str, Any] | None = None) -> Any:
        told = self.ask(method, params)
        assert "result" in told, told
        return told["result"]

    def error(self, method: str, params: dict[str, Any] | None = None) -> Any:
        told = self.ask(method, params)
        assert "error" in told, told
        return told["error"]

    def call(self, tool: str, **arguments: Any) -> Any:
        """The structured content of a tool's answer."""
        return self.result("tools/call", {"name": tool, "arguments": arguments})[
            "structuredContent"
        ]

    def message(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        given = dict(params or {})
        if self.version == MODERN:
            capabilities = self.capabilities or {}
            given["_meta"] = {META_VERSION: MODERN, META_CAPABILITIES: capabilities}
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}

    def send(self, message: Any, **headers: str) -> Any:
        """Sends a message, or a body as it is. A header that is empty is left out."""
        body = message if isinstance(message, bytes | str) else json.dumps(message)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = self.headers_of(message) | named
        return Client(raise_request_exception=False).post(
            "/mcp",
            body,
            content_type=given.pop("Content-Type", "application/json"),
            headers={name: value for name, value in given.items() if value},
        )

    def headers_of(self, message: Any) -> dict[str, str]:
        told = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        told["MCP-Protocol-Version"] = self.version
        if self.version in LEGACY or not isinstance(message, dict):
            return told
        told["Mcp-Method"] = str(message.get("method", ""))
        params = message.get("params")
        name = params.get(NAMES.get(told["Mcp-Method"], "")) if isinstance(params, dict) else None
        if isinstance(name, str):
            coded = base64.b64encode(name.encode()).decode()
            told["Mcp-Name"] = (
                name if name.isascii() and name.isprintable() else f"=?base64?{coded}?="
            )
        return told


def agent(
    role: Role = Role.VIEWER,
    version: str = MODERN,
    *,
    workspace: Workspace | None = None,
    name: str = "agent",
) -> Agent:
    of = workspace or make_workspace()
    return Agent(create_token(of, name=name, role=role)[1], version)
