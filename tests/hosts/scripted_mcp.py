"""An MCP server whose resources and habits a test writes: it runs in threads of the test's own process.

It speaks one revision, or both: 2026-07-28 without sessions, and 2025-11-25 with a session and streams of events. A
habit is a function that may answer a request in its own way; where it returns None the server behaves.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from farends.mcp.options import McpOptions, McpSecret
from farends.spec import Target
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http

MODERN, LEGACY = "2026-07-28", "2025-11-25"


@dataclass(frozen=True)
class Call:
    """A request as the server sees it."""

    method: str
    params: dict[str, Any]
    id: Any
    fields: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """An error of JSON-RPC."""

    code: int
    message: str = "no"
    data: Any = None
    status: str = "200 OK"


Habit = Callable[[Call, Conversation], Any]


def behave(_call: Call, _conversation: Conversation) -> None:
    return None


@dataclass
class ScriptedMcp:
    """`resources` are contents by URI: text, or bytes that go as a blob."""

    resources: dict[str, str | bytes] = field(default_factory=dict)
    eras: tuple[str, ...] = (MODERN, LEGACY)
    page: int = 10
    habit: Habit = behave
    tools: int = 0
    capabilities: Mapping[str, Any] = field(default_factory=lambda: {"resources": {}})
    answers_events: bool = False
    names_session: bool = True
    calls: list[Call] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)
    host: ScriptedHttp | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def methods(self) -> list[str]:
        return [call.method for call in self.calls]

    def target(self, *, token: str = "", secret: McpSecret | None = None, **options: Any) -> Target:
        assert self.host is not None
        made = McpOptions(**{"scheme": "http", **options})
        return Target("127.0.0.1", self.host.port, made, secret or McpSecret(token=token))

    def answer(self, request: Request, conversation: Conversation) -> None:
        if request.method == "DELETE":
            self.deleted.append(request.fields.get("mcp-session-id", ""))
            self.sessions.discard(self.deleted[-1])
            conversation.answer()
            return
        try:
            said = json.loads(request.body)
        except ValueError:  # who asked has left in the middle of it
            conversation.hang_up()
            return
        call = Call(said["method"], said.get("params", {}), said.get("id"), request.fields)
        with self.lock:
            self.calls.append(call)
        told = self.habit(call, conversation)
        if told is None:
            told = self.behave(call)
        if told is SAID:
            return
        self.tell(call, told, conversation)

    def tell(self, call: Call, told: Any, conversation: Conversation) -> None:
        if call.id is None:
            conversation.answer(status="202 Accepted")
            return
        fields: list[str] = []
        status = "200 OK"
        if isinstance(told, Failure):
            status = told.status
            error = {"code": told.code, "message": told.message, "data": told.data}
            message = {"jsonrpc": "2.0", "id": call.id, "error": error}
        else:
            message = {"jsonrpc": "2.0", "id": call.id, "result": told}
        if call.method == "initialize" and self.names_session and not isinstance(told, Failure):
            name = f"session-{len(self.calls)}"
            self.sessions.add(name)
            fields.append(f"Mcp-Session-Id: {name}")
        body = json.dumps(message)
        if self.answers_events and call.fields.get("mcp-protocol-version") != MODERN:
            conversation.answer(
                f"id: 1\ndata: \n\nevent: message\ndata: {body}\n\n".encode(),
                "Content-Type: text/event-stream",
                *fields,
                status=status,
            )
            return
        conversation.answer(body.encode(), "Content-Type: application/json", *fields, status=status)

    def behave(self, call: Call) -> Any:
        is_modern = call.fields.get("mcp-protocol-version") == MODERN
        if is_modern and MODERN not in self.eras:
            return Failure(-32000, "Bad Request: Server not initialized", status="400 Bad Request")
        if not is_modern and LEGACY not in self.eras:
            return Failure(-32601, "Method not found", status="404 Not Found")
        if call.method == "initialize":
            return {"protocolVersion": LEGACY, **self.describe()}
        forgotten = call.fields.get("mcp-session-id") not in self.sessions
        if not is_modern and self.names_session and forgotten:
            return Failure(-32001, "Session not found", status="404 Not Found")
        return self.obey(call, is_modern)

    def obey(self, call: Call, is_modern: bool) -> Any:
        match call.method:
            case "server/discover":
                return {"supportedVersions": [MODERN], **self.describe()}
            case "resources/list":
                return self.list(call.params.get("cursor"))
            case "tools/list":
                tools = [{"name": f"tool-{n}", "inputSchema": {}} for n in range(self.tools)]
                return {"tools": tools}
            case "resources/read":
                return self.read(call.params["uri"])
            case "notifications/initialized":
                return {}
        return Failure(
            -32601, "Method not found", status="404 Not Found" if is_modern else "200 OK"
        )

    def describe(self) -> dict[str, Any]:
        return {
            "capabilities": self.capabilities,
            "serverInfo": {"name": "scripted", "version": "1"},
        }

    def list(self, cursor: str | None) -> Any:
        uris = list(self.resources)
        at = int(cursor or 0)
        told: dict[str, Any] = {
            "resources": [{"uri": uri, "name": uri} for uri in uris[at : at + self.page]]
        }
        if at + self.page < len(uris):
            told["nextCursor"] = str(at + self.page)
        return told

    def read(self, uri: str) -> Any:
        if uri not in self.resources:
            return Failure(-32602, "Resource not found")
        content = self.resources[uri]
        if isinstance(content, str):
            return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": content}]}
        return {"contents": [{"uri": uri, "blob": base64.b64encode(content).decode()}]}


SAID = object()  # a habit has answered by itself


@contextlib.contextmanager
def scripted_mcp(
    resources: Mapping[str, str | bytes] | None = None,
    habit: Habit = behave,
    tls: ssl.SSLContext | None = None,
    **fields: Any,
) -> Iterator[ScriptedMcp]:
    server = ScriptedMcp(dict(resources or {}), habit=habit, **fields)
    with scripted_http(server.answer, tls) as host:
        server.host = host
        yield server
