"""`POST /mcp`: what is refused, in which order, and what both eras of the protocol are told."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from api.mcp.caller import McpCaller
from api.mcp.envelope import BODY_MAX
from api.mcp.eras import LEGACY, META_CAPABILITIES, META_VERSION, MODERN
from api.mcp.errors import UNSUPPORTED_VERSION
from api.mcp.serving import AT_WORK_MAX
from api.mcp.tools.table import TOOLS
from api.mcp.tools.tool import Arguments, Hints, Tool
from api.rest import throttling
from api.rest.throttling import Throttle
from api.shapes.answers import Told
from tests.agents.asking import Agent, agent
from workspaces.models import ApiToken, Role

pytestmark = pytest.mark.django_db(transaction=True)
PING = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
ERAS = [MODERN, *LEGACY]


def old() -> Agent:
    return agent(version=LEGACY[0])


def code_of(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options", "patch"])
def test_only_post_is_taken(method: str) -> None:
    told = getattr(Client(), method)("/mcp")
    assert (told.status_code, told["Allow"]) == (405, "POST")


def test_there_is_no_authorization_server_to_be_found() -> None:
    for path in (
        "oauth-protected-resource",
        "oauth-protected-resource/mcp",
        "oauth-authorization-server",
    ):
        assert Client().get(f"/.well-known/{path}").status_code == 404


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("kind", ["none", "wrong", "expired", "revoked", "basic"])
def test_b02_without_a_live_token_nothing_is_told(version: str, kind: str) -> None:
    who = agent(version=version)
    if kind == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    if kind == "revoked":
        ApiToken.objects.update(revoked_at=timezone.now())
    given = {"none": "", "wrong": f"Bearer {who.token}x", "basic": "Basic YTpi"}.get(
        kind, f"Bearer {who.token}"
    )
    for method in ("tools/list", "initialize", "resources/list", "nothing/such"):
        told = who.send(who.message(method), Authorization=given)
        assert told.status_code == 401
        assert told["Content-Type"] == "application/problem+json"
        assert told["WWW-Authenticate"] == 'Bearer realm="syncproject"'
        assert b"list_connectors" not in told.content
        assert b"resource_metadata" not in told.content


def test_what_is_wrong_is_refused_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request has all faults from its own on; the first of them is told."""
    who = agent()
    deep = b"[" * 200
    faults: list[tuple[str, dict[str, Any], int]] = [
        ("host", {"Host": "evil.example"}, 400),
        ("origin", {"Origin": "https://evil.example"}, 403),
        ("token", {"Authorization": "Bearer sp_no_such"}, 401),
        ("type", {"Content_Type": "text/plain"}, 415),
    ]
    for at in range(len(faults)):
        headers = {name: value for _, given, _ in faults[at:] for name, value in given.items()}
        told = who.send(b"x" * (BODY_MAX + 1), **headers)
        assert told.status_code == faults[at][2], faults[at][0]
    assert who.send(b"x" * (BODY_MAX + 1)).status_code == 413
    assert code_of(who.send(deep)) == (400, -32700)
    assert code_of(who.send(b"[]")) == (400, -32600)
    wrong = who.message("nothing/such")
    assert code_of(who.send(wrong, Mcp_Method="tools/list")) == (400, -32020)
    assert code_of(who.send(wrong)) == (404, -32601)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8091", 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:8091", 200),
        ("https://app.example.com", 200),
        ("https://app.example.com.evil.net", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("localhost", 403),
    ],
)
def test_a_page_of_elsewhere_is_refused(origin: str, status: int, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://app.example.com"]
    assert old().send(PING, Origin=origin, Host="localhost").status_code == status


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonx", 415),
    ],
)
def test_a_body_is_json_and_says_so(kind: str, status: int) -> None:
    assert old().send(json.dumps(PING), Content_Type=kind).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"{",
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\udc00"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1e999}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping"} x',
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'{"a":[' * 5_000,
    ],
)
def test_what_is_no_json_is_told_so(body: bytes) -> None:
    told = old().send(body)
    assert code_of(told) == (400, -32700)
    assert told.json()["id"] is None


def test_brackets_within_texts_are_no_depth() -> None:
    params = {"a": '[{"' * 1_000 + "\\", "b": [[]] * 200}
    assert old().send(PING | {"params": params}).json()["result"] == {}


@pytest.mark.parametrize(
    "body",
    [
        [PING],
        [],
        "text",
        7,
        None,
        {},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"id": 1, "method": "ping"},
        PING | {"id": None},
        PING | {"id": 1.5},
        PING | {"id": 1.0},
        PING | {"id": True},
        PING | {"id": {}},
        PING | {"id": "x" * 1_000},
        PING | {"method": 5},
        PING | {"method": ""},
        PING | {"method": "x" * 5_000},
        PING | {"params": None},
        PING | {"params": []},
        PING | {"params": "x"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": []},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ],
)
def test_a_bad_envelope_is_told_so(body: Any) -> None:
    assert code_of(old().send(json.dumps(body))) == (400, -32600)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":{"b":1,"b":2}}}',
    ],
)
def test_a_name_that_stands_twice_is_refused(body: bytes) -> None:
    assert code_of(old().send(body)) == (400, -32600)


@pytest.mark.parametrize("request_id", [0, -1, 1 << 62, 1 << 80, "", "ü\n", "x" * 256])
def test_an_id_comes_back_as_it_was(request_id: Any) -> None:
    told = old().send(PING | {"id": request_id})
    assert told.json() == {"jsonrpc": "2.0", "id": request_id, "result": {}}


def test_notifications_are_taken_and_answered_with_nothing() -> None:
    for version in ERAS:
        for method in ("notifications/initialized", "notifications/cancelled", "tools/call", "x"):
            told = agent(version=version).send({"jsonrpc": "2.0", "method": method})
            assert (told.status_code, told.content) == (202, b"")


def test_a_notification_of_an_unknown_revision_is_refused() -> None:
    told = agent(version="2199-01-01").send({"jsonrpc": "2.0", "method": "x"})
    assert (told.status_code, told.json()["error"]["code"]) == (400, UNSUPPORTED_VERSION)


def test_a_body_in_pieces_that_ends_early_is_refused(web: str) -> None:
    at = urlsplit(web)
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {agent().token}\r\n"
        'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"jsonrpc"'
    )
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=90) as client:
        client.sendall(head.encode())
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 400 "), answer[:300]
    assert "ended before its last piece" in answer


@pytest.mark.parametrize("length", [BODY_MAX, BODY_MAX + 1, 2_600_000, 20_000_000])
def test_a_body_over_a_mebibyte_is_refused(length: int) -> None:
    frame = json.dumps(PING | {"params": {"a": ""}})
    body = frame.replace('""', '"' + "x" * (length - len(frame)) + '"')
    assert old().send(body).status_code == (200 if length <= BODY_MAX else 413)


def test_an_unknown_method_is_404_by_the_new_revision_alone() -> None:
    for version in ERAS:
        who = agent(version=version)
        told = who.send(who.message("prompts/list"))
        assert code_of(told) == (404 if version == MODERN else 200, -32601)
    assert code_of(agent().send(agent().message("initialize"))) == (404, -32601)
    assert code_of(agent().send(agent().message("ping"))) == (404, -32601)


@pytest.mark.parametrize("version", ["2024-11-05", "2099-01-01", "x", "2025-11-25,2025-11-25"])
def test_another_revision_is_told_which_are_supported(version: str) -> None:
    who = agent()
    message = who.message("tools/list")
    message["params"]["_meta"][META_VERSION] = version
    told = who.send(message, MCP_Protocol_Version=version)
    assert code_of(told) == (400, -32022)
    assert told.json()["error"]["data"]["supported"] == ERAS
    assert code_of(who.send(PING, MCP_Protocol_Version=version)) == (400, -32022)


@pytest.mark.parametrize(
    "headers",
    [
        {"MCP_Protocol_Version": "2025-11-25"},
        {"MCP_Protocol_Version": "2099-01-01"},
        {"MCP_Protocol_Version": ""},
        {"Mcp_Method": "tools/list"},
        {"Mcp_Method": ""},
        {"Mcp_Name": "other"},
        {"Mcp_Name": ""},
        {"Mcp_Name": "=?base64?!!?="},
        {"Mcp_Name": "=?base64?/w==?="},
    ],
)
def test_headers_that_disagree_with_the_body_are_refused(headers: dict[str, str]) -> None:
    who = agent()
    message = who.message("tools/call", {"name": "sync_status", "arguments": {}})
    assert who.send(message).json()["result"]["isError"] is False
    assert code_of(who.send(message, **headers)) == (400, -32020)


def test_a_name_that_no_header_holds_is_sent_in_base64() -> None:
    who = agent()
    message = who.message("tools/call", {"name": "läuft nicht", "arguments": {}})
    assert who.send(message).json()["error"]["code"] == -32602
    assert code_of(who.send(message, Mcp_Name="laeuft nicht")) == (400, -32020)


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        (None, -32602),
        ({}, -32602),
        ([], -32602),
        ({META_CAPABILITIES: {}}, -32602),
        ({META_VERSION: MODERN}, -32602),
        ({META_VERSION: MODERN, META_CAPABILITIES: 3}, -32602),
        ({META_VERSION: 3, META_CAPABILITIES: {}}, -32020),
    ],
)
def test_a_modern_request_lacks_nothing(meta: Any, code: int) -> None:
    message = agent().message("tools/list")
    message["params"]["_meta"] = meta
    assert code_of(agent(name="b").send(message)) == (400, code)


def test_what_meta_says_beside_is_nobodys_business() -> None:
    message = agent().message("tools/list")
    message["params"]["_meta"] |= {"example.com/x": [1], "progressToken": "p", "": None}
    assert "result" in agent().send(message).json()


@pytest.mark.parametrize("version", LEGACY)
def test_an_old_client_greets_and_is_told_what_is_there(version: str) -> None:
    who = agent(version=version)
    told = who.result("initialize", {"protocolVersion": version, "capabilities": {}})
    assert told["protocolVersion"] == version
    assert told["serverInfo"]["name"] == "syncproject"
    assert told["capabilities"] == {"tools": {}, "resources": {}, "completions": {}}
    assert "untrusted" in told["instructions"]
    response = who.send(who.message("initialize", {"protocolVersion": version}))
    assert "Mcp-Session-Id" not in response


def test_an_old_client_without_a_header_is_let_in() -> None:
    who = agent(version=LEGACY[-1])
    assert who.send(PING, MCP_Protocol_Version="").json()["result"] == {}
    greeting = {"protocolVersion": "2024-11-05"}
    assert who.result("initialize", greeting)["protocolVersion"] == LEGACY[0]


def test_a_new_client_asks_what_is_there() -> None:
    told = agent().result("server/discover")
    assert told["supportedVersions"] == ERAS
    assert told["capabilities"] == {
        "tools": {},
        "resources": {"subscribe": True, "listChanged": True},
        "completions": {},
    }
    assert told["resultType"] == "complete"
    assert told["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "syncproject"
    assert (told["ttlMs"] > 0, told["cacheScope"]) == (True, "private")


def test_a_session_is_neither_given_nor_heeded() -> None:
    told = old().send(PING, Mcp_Session_Id="made-up")
    assert told.json()["result"] == {}
    assert "Mcp-Session-Id" not in told


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"name": 5},
        {"name": None},
        {"name": "sync_status", "arguments": []},
        {"name": "sync_status", "arguments": "x"},
        {"name": "no_such"},
        {"name": "x" * 10_000},
    ],
)
@pytest.mark.parametrize("version", [MODERN, LEGACY[0]])
def test_params_of_wrong_types_are_told(version: str, params: dict[str, Any]) -> None:
    assert agent(version=version).error("tools/call", params)["code"] == -32602


def test_agents_take_the_turns_of_their_token(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(settings.CELERY_BROKER_URL, 3)
    monkeypatch.setattr(throttling, "_throttle", lambda: throttle)
    who = old()
    codes = [who.send(PING).status_code for _ in range(5)]
    assert codes == [200] * 3 + [429] * 2
    refused = who.send(PING)
    assert refused["Content-Type"] == "application/problem+json"
    assert 1 <= int(refused["Retry-After"]) <= 60
    rest = {"Authorization": f"Bearer {who.token}"}
    assert Client().get("/api/workspaces/acme/connectors", headers=rest).status_code == 429
    assert replace(who, token="sp_x_y").send(PING).status_code == 401


def test_agents_work_few_at_a_time_and_far_ends_keep_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_work: list[int] = []
    most: list[int] = []
    full, far = threading.Semaphore(0), threading.Event()

    class Work(Arguments):
        """Works until a far end has answered."""

        def answer(self, caller: McpCaller) -> Any:
            at_work.append(1)
            most.append(len(at_work))
            full.release()
            far.wait(60)
            at_work.pop()
            return {}

    class Reach(Arguments):
        """A far end answers."""

        def answer(self, caller: McpCaller) -> Any:
            far.set()
            return {}

    monkeypatch.setitem(TOOLS, "work", Tool("work", "Work", Role.VIEWER, Hints(), Work, Told))
    distant = Hints(open_world=True)
    monkeypatch.setitem(TOOLS, "reach", Tool("reach", "Reach", Role.VIEWER, distant, Reach, Told))
    who = agent()

    def call(tool: str) -> Any:
        try:
            return who.result("tools/call", {"name": tool})["isError"]
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_WORK_MAX + 4) as pool:
        working = [pool.submit(call, "work") for _ in range(AT_WORK_MAX + 3)]
        for _ in range(AT_WORK_MAX):
            assert full.acquire(timeout=60)
        assert pool.submit(call, "reach").result(60) is False
        assert [each.result(60) for each in working] == [False] * (AT_WORK_MAX + 3)
    assert max(most) == AT_WORK_MAX
