"""Kind mcp against a server of the tests: both revisions, sessions, paths, and one bad habit after the other."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farends.contract import Context, Fetched, RemoteEntry, Skipped
from farends.errors import (
    AuthConfig,
    ConnectionLost,
    ConnectionStage,
    McpAuthFailed,
    McpContents,
    McpDuplicateUri,
    McpLoop,
    McpOtherUri,
    McpProtocol,
    McpToolsOnly,
    McpTooMany,
    McpWrongId,
    NeedsPerson,
    PermissionRefused,
    RedirectRefused,
    Stalled,
    Throttled,
    TlsRefused,
    TransportError,
    Truncated,
    Unstable,
    Vanished,
)
from farends.mcp.globs import UriGlob
from farends.mcp.line import encode_name
from farends.mcp.options import McpOptions, McpSecret
from farends.mcp.paths import assign_paths, make_path
from farends.mcp.transport import McpTransport
from farends.mcp.uris import is_same_uri
from farends.probe import probe
from farends.registry import get_spec
from farends.spec import InvalidOptions, parse_options
from farends.stages import StageOutcome, StageResult
from tests.hosts.certificates import make_certificates
from tests.hosts.scripted_http import Conversation
from tests.hosts.scripted_mcp import (
    LEGACY,
    MODERN,
    SAID,
    Call,
    Failure,
    Habit,
    ScriptedMcp,
    scripted_mcp,
)
from tests.hosts.sinks import DigestReceiver, DigestSink, digest_of, loopback_context

SPEC = get_spec("mcp")
NOTES: dict[str, str | bytes] = {f"kit://notes/{n}/a.md": f"note {n}\n😀" for n in range(25)}
JSON = "Content-Type: application/json"
EVENTS = "Content-Type: text/event-stream"


@contextmanager
def opened(server: ScriptedMcp, context: Context | None = None, **options: Any) -> Iterator[Any]:
    with closing(SPEC.open(server.target(**options), context or loopback_context())) as transport:
        yield transport


def listed(server: ScriptedMcp, **options: Any) -> list[str]:
    with opened(server, **options) as transport:
        return [item.path for item in transport.walk()]


def fetch_all(server: ScriptedMcp, **options: Any) -> dict[str, Fetched]:
    """By URI."""
    sink = DigestSink()
    with opened(server, **options) as transport:
        answers = list(transport.fetch(list(transport.walk()), sink))
    assert not sink.left_open
    return {answer.source or answer.entry.path: answer for answer in answers}


def read_one(habit: Habit, **fields: Any) -> Fetched:
    """What becomes of a resource that is read with this habit, beside one that is read as it should be."""

    def only_one(call: Call, conversation: Conversation) -> Any:
        is_it = call.method == "resources/read" and call.params["uri"] == "kit://a"
        return habit(call, conversation) if is_it else None

    resources = {"kit://a": "a", "kit://b": "b"}
    with scripted_mcp(resources, only_one, **fields) as server:
        answers = fetch_all(server)
    assert answers["kit://b"].receipt == digest_of(b"b")
    return answers["kit://a"]


def say(body: bytes, *fields: str, status: str = "200 OK") -> Habit:
    def habit(_call: Call, conversation: Conversation) -> Any:
        conversation.answer(body, *(fields or (JSON,)), status=status)
        return SAID

    return habit


def on(method: str, habit: Habit) -> Habit:
    return lambda call, conversation: habit(call, conversation) if call.method == method else None


def contents(*found: dict[str, Any]) -> dict[str, Any]:
    return {"contents": list(found)}


# What both revisions have in common.


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"eras": (MODERN,)}, id="2026-07-28"),
        pytest.param({"eras": (LEGACY,)}, id="2025-11-25"),
        pytest.param({"eras": (LEGACY,), "answers_events": True}, id="2025-11-25 by events"),
        pytest.param({"eras": (LEGACY,), "names_session": False}, id="2025-11-25 without session"),
    ],
)
def test_every_resource_of_every_page_is_listed_and_read(fields: dict[str, Any]) -> None:
    resources = NOTES | {"kit://bin/x.png": bytes(range(256)) * 2_000, "kit://empty": ""}
    with scripted_mcp(resources, **fields) as server:
        assert listed(server)[:2] == ["kit/notes/0/a.md", "kit/notes/1/a.md"]
        answers = fetch_all(server)
    assert {uri: answer.receipt for uri, answer in answers.items()} == {
        uri: digest_of(content if isinstance(content, bytes) else content.encode())
        for uri, content in resources.items()
    }
    assert all(a.entry == RemoteEntry(a.entry.path, None, None) for a in answers.values())


def test_the_new_revision_says_in_each_request_what_it_is_about() -> None:
    with scripted_mcp({"kit://grün": "x"}, eras=(MODERN,)) as server:
        fetch_all(server, token="secret")
    last = server.calls[-1]
    assert last.fields["mcp-protocol-version"] == MODERN
    assert last.fields["mcp-method"] == "resources/read"
    assert last.fields["mcp-name"] == encode_name("kit://grün") == "=?base64?a2l0Oi8vZ3LDvG4=?="
    assert last.params["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN
    assert {call.fields["authorization"] for call in server.calls} == {"Bearer secret"}
    assert server.methods == ["server/discover", "resources/list", "resources/read"]


def test_a_session_is_named_in_each_request_and_deleted_in_the_end() -> None:
    with scripted_mcp(NOTES, eras=(LEGACY,)) as server:
        fetch_all(server)
    first, *others = [call for call in server.calls if call.fields.get("mcp-session-id")]
    assert first.method == "notifications/initialized"
    assert first.fields["mcp-protocol-version"] == LEGACY
    assert {call.fields["mcp-session-id"] for call in others} == set(server.deleted)
    assert (len(server.deleted), server.sessions) == (1, set())


def test_a_session_that_the_server_forgets_is_opened_again() -> None:
    def forget(call: Call, _: Conversation) -> Any:
        if call.method == "resources/read" and server.methods.count("resources/read") == 3:
            server.sessions.clear()
            return Failure(-32001, "Session not found", status="404 Not Found")

    def forget_without_words(call: Call, conversation: Conversation) -> Any:
        if call.method == "resources/list" and server.methods.count("resources/list") == 1:
            server.sessions.clear()
            conversation.answer(status="404 Not Found")
            return SAID

    for habit in (forget, forget_without_words):
        with scripted_mcp(NOTES, habit, eras=(LEGACY,)) as server:
            answers = fetch_all(server)
        assert [answer.error for answer in answers.values()] == [None] * 25
        assert server.methods.count("initialize") == 2


def test_a_connection_that_an_idle_server_has_closed_is_opened_again() -> None:
    """A question by POST changes nothing, so it may be asked twice."""
    gone: list[str] = []

    def hang_up(call: Call, conversation: Conversation) -> Any:
        if call.method == "resources/list" and call.params.get("cursor") == "10" and not gone:
            gone.append("10")
            conversation.hang_up()
            return SAID

    with scripted_mcp(NOTES, hang_up) as server:
        assert len(listed(server)) == 25
    assert gone


def test_reads_are_on_their_way_four_at_once() -> None:
    """None of the first four is answered before all of them have come."""
    waiting: list[str] = []

    def hold(call: Call, conversation: Conversation) -> Any:
        if call.method == "resources/read":
            waiting.append(call.params["uri"])
            while len(waiting) < 4 and conversation.wait(0.01):
                pass

    with scripted_mcp(NOTES, hold) as server:
        assert len(fetch_all(server)) == 25


# Who may see the secret, and what it is.


def test_a_header_of_another_name_carries_the_secret() -> None:
    secret = McpSecret(header_value="Token abc def")
    with scripted_mcp(NOTES) as server:
        fetch_all(server, secret=secret, header_name="X-API-Key")
    assert {call.fields["x-api-key"] for call in server.calls} == {"Token abc def"}
    assert not any("authorization" in call.fields for call in server.calls)


@pytest.mark.parametrize(
    ("options", "secret"),
    [
        ({}, McpSecret(header_value="x")),
        ({"header_name": "X-API-Key"}, McpSecret()),
        ({"header_name": "X-API-Key"}, McpSecret(token="t", header_value="x")),
        ({}, McpSecret(token="two\nlines")),
    ],
)
def test_a_secret_that_no_request_can_carry_is_told(
    options: dict[str, Any], secret: McpSecret
) -> None:
    with scripted_mcp(NOTES) as server, pytest.raises(AuthConfig):
        listed(server, secret=secret, **options)
    assert server.calls == []


@pytest.mark.parametrize("name", ["command", "args", "env", "stdio", "file"])
def test_a_command_is_refused_by_its_name(name: str) -> None:
    given = {"command": "npx", "args": ["-y"], "env": {"A": "b"}, "stdio": True, "file": "/x"}
    with pytest.raises(InvalidOptions) as refused:
        parse_options(McpOptions, {name: given[name]})
    ((told, words),) = refused.value.problems.items()
    assert told.partition(".")[0] == name
    assert "never names a command" in words


@pytest.mark.parametrize(
    "options",
    [
        {"scheme": "stdio"},
        {"path": "mcp"},
        {"path": "/a b"},
        {"max_resources": 0},
        {"max_resources": 100_001},
        {"protocol": "2024-11-05"},
        {"include_uris": [""]},
        {"include_uris": "wiki://**"},
        {"header_name": "Mcp-Session-Id"},
        {"header_name": "a b"},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptions):
        parse_options(McpOptions, options)


def test_what_stands_between_decides_who_sees_the_secret() -> None:
    assert McpOptions().detour() == ()
    assert [hop.url for hop in McpOptions(scheme="http").detour()] == ["plain http"]
    assert (SPEC.default_port, McpOptions().scheme, McpOptions().path) == (443, "https", "/mcp")


# Agreeing on a revision.


def test_one_revision_that_a_person_names_is_the_only_one_that_is_tried() -> None:
    with scripted_mcp(NOTES) as server:
        listed(server, protocol="2025-11-25")
    assert "server/discover" not in server.methods
    with scripted_mcp(NOTES, eras=(LEGACY,)) as server:
        with pytest.raises(McpProtocol) as told:
            listed(server, protocol="2026-07-28")
        assert told.value.stage is ConnectionStage.LOG_IN
    assert server.methods == ["server/discover"]


OLD_ANSWERS = [
    say(b"", "Content-Type: text/plain", status="400 Bad Request"),
    say(b"not here", "Content-Type: text/plain", status="404 Not Found"),
    say(b"", status="405 Method Not Allowed"),
    say(b"<html>oh", "Content-Type: text/html", status="500 Internal Server Error"),
    lambda _call, _: Failure(-32601, "Method not found"),
    lambda _call, _: Failure(-32022, "unsupported", {"supported": [LEGACY]}, "400 Bad Request"),
    lambda _call, conversation: conversation.hang_up() or SAID,
]


@pytest.mark.parametrize("habit", OLD_ANSWERS)
def test_whatever_an_old_server_says_of_the_new_revision_it_is_asked_by_the_old(
    habit: Habit,
) -> None:
    with scripted_mcp(NOTES, on("server/discover", habit), eras=(LEGACY,)) as server:
        assert len(listed(server)) == 25


def test_a_server_that_lets_the_new_revision_wait_is_asked_by_the_old_in_time() -> None:
    def wait(call: Call, conversation: Conversation) -> Any:
        while conversation.wait(5):
            pass
        return SAID

    context = loopback_context()
    context = replace(context, patience=replace(context.patience, connect_s=1.5))
    with (
        scripted_mcp(NOTES, on("server/discover", wait), eras=(LEGACY,)) as server,
        opened(server, context) as transport,
    ):
        assert len(list(transport.walk())) == 25


def test_both_revisions_together_have_the_one_connect_timeout() -> None:
    """What is left of the first attempt is all that the second may take."""

    def wait(_: Call, conversation: Conversation) -> Any:
        while conversation.wait(5):
            pass
        return SAID

    with scripted_mcp(NOTES, wait) as server:
        began = time.monotonic()
        with pytest.raises(Stalled) as told:
            listed(server, connect_timeout_s=1.5)
        took_s = time.monotonic() - began
    assert server.methods == ["server/discover", "initialize"]
    allowed = [
        float(words) for words in str(told.value).split() if words.replace(".", "").isdigit()
    ]
    assert sum(allowed) <= 0.51 * 1.5  # what the second was given
    assert took_s >= 1.5
    assert told.value.stage is ConnectionStage.LOG_IN


def test_a_revision_that_nobody_knows_is_told() -> None:
    told = {"protocolVersion": "2024-11-05", "capabilities": {}}
    habit = on("initialize", lambda _call, _: told)
    with (
        scripted_mcp(NOTES, habit, eras=(LEGACY,)) as server,
        pytest.raises(McpProtocol, match="2024-11-05"),
    ):
        listed(server)


# Hostile servers: the log-in.


def test_a_redirect_never_takes_the_credential_along() -> None:
    with scripted_mcp(NOTES) as other:
        assert other.host is not None
        to = f"Location: http://127.0.0.1:{other.host.port}/mcp"
        for status in ("301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent"):
            with (
                scripted_mcp(NOTES, say(b"", to, status=status)) as server,
                pytest.raises(RedirectRefused, match="redirects to"),
            ):
                listed(server, token="secret")
            assert server.methods == ["server/discover"]
    assert other.calls == []


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ("Bearer", "refused the token"),
        (
            'Bearer resource_metadata="http://127.0.0.1/.well-known/x"',
            "this server wants OAuth; give a token in `secret.token`",
        ),
    ],
)
def test_401_is_told_and_no_discovery_is_started(challenge: str, words: str) -> None:
    habit = say(b"{}", f"WWW-Authenticate: {challenge}", status="401 Unauthorized")
    with (
        scripted_mcp(NOTES, habit) as server,
        pytest.raises(McpAuthFailed, match=words.replace(".", r"\.")) as told,
    ):
        listed(server)
    assert (told.value.code, told.value.stage) == ("auth_failed", ConnectionStage.LOG_IN)
    assert server.methods == ["server/discover"]


def test_a_log_in_page_is_no_answer() -> None:
    habit = say(b"<!DOCTYPE html><h1>Sign in", "Content-Type: text/html")
    with scripted_mcp(NOTES, habit) as server, pytest.raises(McpProtocol, match="Sign in"):
        listed(server)


@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        ("403 Forbidden", (), PermissionRefused),
        ("429 Too Many", ("Retry-After: 7",), Throttled),
        ("503 Away", ("Retry-After: 7",), Throttled),
    ],
)
def test_a_status_that_speaks_for_itself_is_not_asked_twice(
    status: str, fields: tuple[str, ...], error: type[TransportError]
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": "why"}})
    with (
        scripted_mcp(NOTES, say(body.encode(), JSON, *fields, status=status)) as server,
        pytest.raises(error, match="why") as told,
    ):
        listed(server)
    assert getattr(told.value, "retry_after_s", 7) == 7
    assert server.methods == ["server/discover"]


# Hostile servers: the listing.


@pytest.mark.parametrize(
    ("pages", "error"),
    [
        ({None: (["kit://a"], "1"), "1": (["kit://b"], "2"), "2": (["kit://c"], "1")}, McpLoop),
        ({None: (["kit://a"], "1"), "1": (["kit://a"], "1")}, McpLoop),
        ({None: (["kit://a"], "1"), "1": (["kit://a"], None)}, McpDuplicateUri),
        ({None: (["kit://a", "kit://b", "kit://a"], None)}, McpDuplicateUri),
        ({None: ([""], None)}, McpProtocol),
        ({None: (["kit://\u0000"], None)}, McpProtocol),
        ({None: (["kit://a\nb"], None)}, McpProtocol),
        ({None: (["kit://" + "x" * 40_000], None)}, McpProtocol),
        ({None: (["kit://a", None], None)}, McpProtocol),
        ({None: (["kit://a"], 7)}, McpProtocol),
        ({None: ("kit://a", None)}, McpProtocol),
        ({None: ([f"kit://{n}" for n in range(51)], None)}, McpTooMany),
    ],
)
def test_a_listing_that_cannot_be_trusted_is_an_error(
    pages: dict[str | None, Any], error: type[TransportError]
) -> None:
    def list_pages(call: Call, _: Conversation) -> Any:
        uris, further = pages[call.params.get("cursor")]
        rows = [{"uri": uri} for uri in uris] if isinstance(uris, list) else uris
        return {"resources": rows, "nextCursor": further}

    with (
        scripted_mcp(habit=on("resources/list", list_pages)) as server,
        pytest.raises(error) as told,
    ):
        listed(server, max_resources=50)
    assert not told.value.retryable


def test_a_listing_of_new_cursors_and_no_resources_comes_to_an_end() -> None:
    numbers = iter(range(1_000_000))
    habit = on("resources/list", lambda _c, _: {"resources": [], "nextCursor": str(next(numbers))})
    with scripted_mcp(habit=habit) as server, pytest.raises(McpLoop):
        listed(server)


@pytest.mark.parametrize(
    ("habit", "error"),
    [
        (lambda _call, _: {}, McpProtocol),
        (lambda _call, _: [], McpProtocol),
        (lambda _call, _: Failure(-32603, "boom"), McpProtocol),
        (lambda _call, _: {"resultType": "input_required", "inputRequests": {}}, NeedsPerson),
        (lambda _call, _: Failure(-32042, "go there"), NeedsPerson),
        (say(b"[" * 100_000), McpProtocol),
        (say(b'{"jsonrpc":"2.0","id":2,"result":{"resources":[{"uri":"\xff"}]}}'), McpProtocol),
        (say(b'{"jsonrpc":"2.0","id":999,"result":{"resources":[]}}'), McpWrongId),
        (say(b'{"jsonrpc":"2.0","id":"2","result":{"resources":[]}}'), McpWrongId),
        (say(b'{"jsonrpc":"2.0","id":2}'), McpProtocol),
        (say(b'{"jsonrpc":"2.0","id":2,"result":{"resou'), McpProtocol),
        (say(b""), McpProtocol),
        (say(b"", status="202 Accepted"), McpProtocol),
        (say(b'[{"jsonrpc":"2.0","id":2,"result":{"resources":[]}}]'), McpProtocol),
        (say(b"data: \n\n", EVENTS), Truncated),
        (say(b"x", JSON, "Content-Encoding: gzip"), McpProtocol),
    ],
)
def test_an_answer_to_the_listing_that_is_none_is_told(
    habit: Habit, error: type[TransportError]
) -> None:
    with (
        scripted_mcp(NOTES, on("resources/list", habit), eras=(MODERN,)) as server,
        pytest.raises(error),
    ):
        listed(server)


@pytest.mark.parametrize("declared", [{"tools": {}}, {"tools": {}, "resources": {}}, {}])
def test_a_server_of_tools_alone_is_told_with_their_count(declared: dict[str, Any]) -> None:
    habit = on("resources/list", lambda _call, _: Failure(-32601, "Method not found"))
    with scripted_mcp(habit=habit, tools=14, capabilities=declared) as server:
        with pytest.raises(McpToolsOnly, match="14 tools"):
            listed(server)
        told = stages(server)
    assert told[ConnectionStage.LOG_IN].outcome is StageOutcome.PASSED
    failed = told[ConnectionStage.LIST]
    assert (failed.outcome, failed.code) == (StageOutcome.FAILED, "mcp_tools_only")
    assert "14 tools" in failed.detail


@pytest.mark.parametrize(
    ("tools", "words"), [(1, "only 1 tool:"), (14, "only 14 tools:"), (0, "neither .* nor tools:")]
)
def test_a_server_without_resources_says_how_many_tools_it_has(tools: int, words: str) -> None:
    habit = on("resources/list", lambda _call, _: Failure(-32601, "Method not found"))
    with (
        scripted_mcp(habit=habit, tools=tools) as server,
        pytest.raises(McpToolsOnly, match=words),
    ):
        listed(server)


BOTH: dict[str, Any] = {"tools": {}, "resources": {}}


def test_a_server_of_tools_that_answers_an_empty_listing_is_one_of_tools_alone() -> None:
    """The official libraries declare resources whether there are any or not."""
    with scripted_mcp(tools=14, capabilities=BOTH) as server:
        with pytest.raises(McpToolsOnly, match="only 14 tools"):
            listed(server)
        failed = stages(server)[ConnectionStage.LIST]
    assert (failed.outcome, failed.code) == (StageOutcome.FAILED, "mcp_tools_only")
    assert "14 tools" in failed.detail


@pytest.mark.parametrize(
    ("habit", "fields"),
    [
        pytest.param(on("x", say(b"")), {"tools": 0}, id="no tools"),
        pytest.param(on("x", say(b"")), {"capabilities": {"resources": {}}}, id="none declared"),
        pytest.param(on("tools/list", lambda _c, _: Failure(-32603, "boom")), {}, id="an error"),
        pytest.param(
            on("tools/list", say(b"", status="500 Internal Server Error")), {}, id="a status"
        ),
        pytest.param(on("tools/list", say(b"oh", "Content-Type: text/plain")), {}, id="no JSON"),
        pytest.param(
            on(
                "resources/templates/list",
                lambda _c, _: {"resourceTemplates": [{"uriTemplate": "kit://{id}", "name": "x"}]},
            ),
            {},
            id="templates",
        ),
    ],
)
def test_an_empty_listing_of_a_server_that_shows_no_tools_is_empty(
    habit: Habit, fields: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"tools": 14, "capabilities": BOTH} | fields
    with scripted_mcp(habit=habit, **given) as server:
        assert listed(server) == []
        assert stages(server)[ConnectionStage.LIST].detail == "no resource is offered"


def test_globs_that_match_nothing_are_told_by_the_connection_test() -> None:
    with scripted_mcp(NOTES, tools=14, capabilities=BOTH) as server:
        told = stages(server, include_uris=("wiki://**",))
    assert told[ConnectionStage.LIST].outcome is StageOutcome.PASSED
    assert told[ConnectionStage.LIST].detail == "no resource matches options.include_uris"
    assert "tools/list" not in server.methods


def test_an_empty_cursor_that_comes_again_is_shown_in_quotes() -> None:
    habit = on("resources/list", lambda _c, _: {"resources": [], "nextCursor": ""})
    with scripted_mcp(habit=habit) as server, pytest.raises(McpLoop, match=r"the cursor ''$"):
        listed(server)


def test_what_to_do_about_too_many_resources_helps() -> None:
    """The count is of all that the server lists, whatever the globs take."""
    with scripted_mcp(NOTES) as server:
        told = stages(server, max_resources=20, include_uris=("kit://notes/1/**",))
        assert told[ConnectionStage.LIST].code == "mcp_too_many"
        assert "include_uris" not in told[ConnectionStage.LIST].advice
        assert len(listed(server, max_resources=25)) == 25


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        ("404 Not Found", {"error": "Not found"}, "the host answered 404"),
        ("400 Bad Request", {"error": {"code": "x"}}, "the host answered 400"),
        ("403 Forbidden", {"error": "forbidden"}, "the host answered 403$"),
        ("500 Oh", {"error": ["oh"]}, "the host answered 500$"),
    ],
)
def test_an_error_that_is_none_of_json_rpc_does_not_hide_the_status(
    status: str, body: dict[str, Any], words: str
) -> None:
    habit = say(json.dumps(body).encode(), status=status)
    with (
        scripted_mcp(NOTES, on("resources/list", habit), eras=(MODERN,)) as server,
        pytest.raises(TransportError, match=words),
    ):
        listed(server)


# Hostile servers: what a read answers.


@pytest.mark.parametrize("declared", [True, False])
def test_what_a_read_answers_in_another_type_is_measured_and_never_quoted(
    declared: bool,
) -> None:
    """It may be the document itself, and a message is no place for a file's text."""
    text = b"The merger is off. " * 10_000

    def habit(_: Call, conversation: Conversation) -> Any:
        if declared:
            conversation.answer(text, "Content-Type: text/plain")
            return SAID
        conversation.say(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
        )
        conversation.say(text)
        conversation.hang_up()
        return SAID

    error = read_one(habit).error
    assert isinstance(error, McpProtocol)
    assert str(error) == ("the server answered 200 with text/plain in place of JSON: 190000 bytes")


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (contents({"uri": "kit://other", "text": "x"}), McpOtherUri),
        (contents({"text": "x", "uri": "kit://other"}), McpOtherUri),
        (contents({"uri": "kit://a", "text": "x"}, {"uri": "kit://b", "text": "y"}), McpOtherUri),
        (contents(), McpContents),
        ({}, McpContents),
        ({"contents": None}, McpContents),
        ({"contents": "x"}, McpContents),
        (contents({"uri": "kit://a"}), McpContents),
        (contents({"text": "x"}), McpContents),
        (contents({"uri": None, "text": "x"}), McpContents),
        (contents({"uri": "kit://a", "text": ["x"]}), McpContents),
        (contents({"uri": "kit://a", "text": "x", "blob": "eA=="}), McpContents),
        (
            contents({"uri": "kit://a", "text": "x"}, {"uri": "kit://a", "blob": "eA=="}),
            McpContents,
        ),
        (
            contents({"uri": "kit://a", "blob": "eA=="}, {"uri": "kit://a", "text": "x"}),
            McpContents,
        ),
        (
            contents({"uri": "kit://a", "blob": "eA=="}, {"uri": "kit://a", "blob": "e"}),
            McpContents,
        ),
        (contents({"uri": "kit://a", "blob": "eA"}), McpContents),
        (contents({"uri": "kit://a", "blob": "e A="}), McpContents),
        (contents({"uri": "kit://a", "blob": "-_-_"}), McpContents),
        (contents({"uri": "kit://a", "blob": "eA==eA=="}), McpContents),
        (contents({"uri": "kit://a", "blob": "eA==x"}), McpContents),
        ({"resultType": "input_required", "inputRequests": {"a": {}}}, NeedsPerson),
        ({"contents": [], "resultType": "input_required"}, NeedsPerson),
        (Failure(-32042, "go to a page"), NeedsPerson),
        (Failure(-32602, "no such"), Vanished),
        (Failure(-32002, "no such"), Vanished),
        (Failure(-32603, "boom"), McpProtocol),
        ("x", McpProtocol),
        (None, McpContents),
    ],
)
def test_an_answer_that_is_not_the_content_fails_this_resource_alone(
    told: Any, error: type[TransportError]
) -> None:
    if told is None:
        told = {"contents": [None]}
    assert type(read_one(lambda _call, _: told).error) is error


def test_a_wrong_id_is_the_answer_to_another_request() -> None:
    said = {"contents": [{"uri": "kit://a", "text": "x"}]}
    for number in (99, "3", True, 3.5):
        for message in ({"id": number, "result": said}, {"result": said, "id": number}):
            body = json.dumps({"jsonrpc": "2.0", **message}).encode()
            assert type(read_one(say(body)).error) is McpWrongId
            events = b"data: " + body + b"\n\n"
            assert type(read_one(say(events, EVENTS)).error) is McpWrongId


def test_texts_are_joined_and_a_null_beside_a_blob_is_none() -> None:
    told = contents(
        {"uri": "kit://a", "text": "x\n"}, {"text": "y", "uri": "kit://a", "blob": None}
    )
    assert read_one(lambda _call, _: told).receipt == digest_of(b"x\ny")
    told = contents({"uri": "kit://a", "text": None, "blob": "/+8="})
    assert read_one(lambda _call, _: told).receipt == digest_of(b"\xff\xef")
    body = (
        b'{"jsonrpc":"2.0","result":{"contents":[{"blob":"\\/+8=","uri":"kit:\\/\\/a"}]},"id":%d}'
    )

    def escaped(call: Call, conversation: Conversation) -> Any:
        conversation.answer(body % call.id, JSON)
        return SAID

    assert read_one(escaped).receipt == digest_of(b"\xff\xef")


def part(content: bytes, at: int, *, whole: bytes | None = None) -> dict[str, Any]:
    """As this product's own server gives a file that is longer than one answer."""
    told = {"sha256": hashlib.sha256(content if whole is None else whole).hexdigest()}
    meta: dict[str, Any] = {"syncproject/provenance": told}
    if at + 2 < len(content):
        meta["syncproject/next"] = f"kit://a?offset={at + 2}"
    uri = f"kit://a?offset={at}" if at else "kit://a"
    return contents({"uri": uri, "text": content[at : at + 2].decode(), "_meta": meta})


def read_parts(tell: Callable[[int], dict[str, Any]]) -> Fetched:
    def habit(call: Call, _: Conversation) -> Any:
        return tell(int(call.params["uri"].partition("=")[2] or 0))

    with scripted_mcp({"kit://a": ""}, on("resources/read", habit)) as server:
        return fetch_all(server)["kit://a"]


def test_a_resource_in_parts_is_one_file() -> None:
    assert read_parts(lambda at: part(b"abcdefg", at)).receipt == digest_of(b"abcdefg")
    manifest = contents({"uri": "kit://a", "text": "[]", "_meta": {"syncproject/next": "kit://b"}})
    assert read_parts(lambda _: manifest).receipt == digest_of(b"[]")


@pytest.mark.parametrize(
    ("tell", "error"),
    [
        (lambda at: part(b"abcdefg" if at < 4 else b"ABCDEFG", at), Unstable),
        (lambda at: part(b"abcdefg", at, whole=b"x"), Unstable),
        (lambda at: part(b"abcdefg", min(at, 2)), McpOtherUri),
    ],
)
def test_parts_of_two_contents_are_no_file(
    tell: Callable[[int], dict[str, Any]], error: type[TransportError]
) -> None:
    assert type(read_parts(tell).error) is error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"\\ud800", McpProtocol),
        (b"\\ud800\\u0041", McpProtocol),
        (b"\xff", McpProtocol),
        (b"\\x41 and more", McpProtocol),
        (b"a\nb and more", McpProtocol),
        (b"no end", Truncated),
    ],
)
def test_text_that_is_no_unicode_is_refused(text: bytes, error: type[TransportError]) -> None:
    def habit(call: Call, conversation: Conversation) -> Any:
        end = b"" if text == b"no end" else b'"}]}}'
        said = b'{"jsonrpc":"2.0","id":%d,"result":{"contents":[{"uri":"kit://a","text":"%s%s'
        conversation.answer(said % (call.id, text, end), JSON)
        return SAID

    assert type(read_one(habit).error) is error


def test_what_the_server_asks_of_us_on_the_way_is_passed_over() -> None:
    def habit(call: Call, conversation: Conversation) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}
        told = {
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"data": "x" * 9_000},
        }
        answer = {"jsonrpc": "2.0", "id": call.id, "result": server.read("kit://a")}
        events = "".join(
            f"event: m\r\ndata: {json.dumps(m)}\r\n\r\n" for m in (asked, told, answer)
        )
        conversation.answer(f": hello\r\nretry: 5\r\n\r\n{events}".encode(), EVENTS)
        return SAID

    server = ScriptedMcp({"kit://a": "a"})
    assert read_one(habit).receipt == digest_of(b"a")


def test_a_question_to_a_person_on_the_way_needs_a_person() -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}
    events = f"data: {json.dumps(asked)}\n\n".encode()
    assert type(read_one(say(events, EVENTS)).error) is NeedsPerson


def test_a_stream_that_stays_open_after_the_answer_leaves_the_next_read_in_peace() -> None:
    """The connection that such a stream is on is not used again."""

    def habit(call: Call, conversation: Conversation) -> Any:
        said = json.dumps({"jsonrpc": "2.0", "id": call.id, "result": server.behave(call)})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        conversation.say(head + f"data: {said}\n\n: and on\n\n".encode())
        while conversation.wait(5):
            pass
        return SAID

    with scripted_mcp(NOTES, on("resources/read", habit)) as server:
        answers = fetch_all(server)
    assert [answer.error for answer in answers.values()] == [None] * 25


def test_a_read_that_fails_in_its_middle_leaves_the_next_in_peace() -> None:
    def habit(call: Call, conversation: Conversation) -> Any:
        if not server.methods.count("resources/read") % 2:
            conversation.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            conversation.say(b"Content-Length: 100\r\n\r\n{")
            conversation.hang_up()
            return SAID

    with scripted_mcp(NOTES, on("resources/read", habit)) as server:
        answers = fetch_all(server)
    failed = [answer for answer in answers.values() if answer.error is not None]
    assert failed
    assert all(isinstance(a.error, Truncated | ConnectionLost) for a in failed)
    assert len([a for a in answers.values() if a.receipt is not None]) == 25 - len(failed)


def _never_ending(head: bytes, piece: bytes, pause_s: float = 0.0) -> Habit:
    def habit(_: Call, conversation: Conversation) -> Any:
        conversation.say(head + b"\r\n\r\n")
        while conversation.wait(pause_s):
            conversation.say(piece)
        return SAID

    return habit


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "


@pytest.mark.parametrize(
    "habit",
    [
        pytest.param(_never_ending(_HEAD + b"application/json", b" ", 0.2), id="drip"),
        pytest.param(
            _never_ending(_HEAD + b"text/event-stream", b":\n", 0.2), id="drip of comments"
        ),
        pytest.param(
            _never_ending(_HEAD + b"text/event-stream", b"data:\n\n" * 9_000), id="events"
        ),
        pytest.param(
            _never_ending(_HEAD + b"text/event-stream", b'data: {"method":"a"}\n\n' * 9_000),
            id="notifications",
        ),
        pytest.param(_never_ending(_HEAD + b"application/json", b" " * 60_000), id="white space"),
        pytest.param(_never_ending(_HEAD + b"application/json", b'{"a":' * 9_000), id="depth"),
        pytest.param(
            _never_ending(_HEAD + b'application/json\r\n\r\n{"' + b"x", b"x" * 60_000), id="a key"
        ),
    ],
)
def test_an_answer_without_end_is_given_up(habit: Habit) -> None:
    context = loopback_context(idle_s=1.0)
    with (
        scripted_mcp({"kit://a": "a"}, on("resources/read", habit)) as server,
        opened(server, context) as transport,
    ):
        (answer,) = transport.fetch(list(transport.walk()), DigestSink())
    assert isinstance(answer.error, McpProtocol | Stalled)


def test_a_large_resource_passes_through_little_memory() -> None:
    size, piece = 48 << 20, b"0123456789abcde\\n" * 4096

    def habit(call: Call, conversation: Conversation) -> Any:
        told = b'{"jsonrpc":"2.0","id":%d,"result":{"contents":[{"uri":"kit://a","text":"' % call.id
        conversation.say(_HEAD + b"application/json\r\nConnection: close\r\n\r\n" + told)
        for _ in range(size // 65536):
            conversation.say(piece)
        conversation.say(b'"}]}}')
        conversation.hang_up()
        return SAID

    with (
        scripted_mcp({"kit://a": "a"}, on("resources/read", habit)) as server,
        opened(server) as transport,
    ):
        entries = list(transport.walk())
        tracemalloc.start()
        (answer,) = transport.fetch(entries, DigestSink())
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.receipt == digest_of(b"0123456789abcde\n" * 4096 * (size // 65536))
    assert peak_bytes < 4 << 20


def test_a_receiver_that_takes_no_more_ends_the_read_and_the_next_goes_on() -> None:
    class Enough(Exception):
        pass

    def stop(_: DigestReceiver) -> None:
        raise Enough

    with (
        scripted_mcp(NOTES | {"kit://large": "x" * 5_000_000}) as server,
        opened(server) as transport,
    ):
        entries = list(transport.walk())
        sink = DigestSink(on_write=stop)
        with pytest.raises(Enough):
            list(transport.fetch(entries, sink))
        assert not sink.left_open
        (answer,) = transport.fetch(entries[:1], DigestSink())
    assert answer.receipt == digest_of("note 0\n😀".encode())


def test_a_host_that_asks_to_wait_ends_the_whole_fetch() -> None:
    habit = on("resources/read", say(b"", status="429 Too Many"))
    with scripted_mcp(NOTES, habit) as server, pytest.raises(Throttled):
        fetch_all(server)


def test_401_of_one_read_is_an_error_of_that_resource_where_the_token_still_lists() -> None:
    error = read_one(say(b"", status="401 Unauthorized")).error
    assert isinstance(error, McpAuthFailed)
    assert "this resource" in str(error)


@pytest.mark.parametrize(
    ("status", "error"),
    [("401 Unauthorized", McpAuthFailed), ("429 Too Many", Throttled)],
)
def test_401_of_a_read_and_then_of_the_listing_ends_the_whole_fetch(
    status: str, error: type[TransportError]
) -> None:
    def habit(call: Call, conversation: Conversation) -> Any:
        if call.method == "resources/read":
            return say(b"", status="401 Unauthorized")(call, conversation)
        if "resources/read" in server.methods:
            return say(b"", status=status)(call, conversation)
        return None

    with scripted_mcp(NOTES, habit) as server, pytest.raises(error):
        fetch_all(server)


def test_who_looked_at_the_beginning_of_a_listing_can_fetch_all_of_it() -> None:
    with scripted_mcp(NOTES) as server, opened(server) as transport:
        next(iter(transport.walk()))
        wanted = RemoteEntry("kit/notes/24/a.md", None, None)
        (answer,) = transport.fetch([wanted], DigestSink())
    assert answer.receipt == digest_of("note 24\n😀".encode())


# Paths.


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("kit://notes/0/a.md", "kit/notes/0/a.md"),
        ("KIT://Notes/A.md", "kit/Notes/A.md"),
        ("file:///etc/passwd", "file/etc/passwd"),
        ("wiki://page?x=1#y", "wiki/page"),
        ("urn:isbn:123", "urn/isbn:123"),
        ("../../etc/passwd", "__/__/etc/passwd"),
        ("kit://%2e%2e/%2E%2E/x", "kit/__/__/x"),
        ("kit://a/./b/../c", "kit/a/_/b/__/c"),
        ("kit://a%2Fb/c%00d", "kit/a_b/c_d"),
        ("kit://a/%252e%252e/x", "kit/a/%2e%2e/x"),
        ("kit://gr%C3%BCn/\u00e9", "kit/grün/é"),
        ("kit://caf%E9", "kit/caf\udce9"),
        ("kit://soft\u00adhyphen\u200b/a b", "kit/soft\u00adhyphen\u200b/a b"),
        ("kit://", "kit"),
        ("x:", "x"),
        ("?q", "resource"),
    ],
)
def test_a_path_is_made_of_the_uri_and_leads_nowhere(uri: str, path: str) -> None:
    assert make_path(uri) == path


def _mark(uri: str) -> str:
    return hashlib.sha256(uri.encode()).hexdigest()[:8]


def test_two_uris_of_one_path_are_told_apart_by_a_mark() -> None:
    uris = ["kit://a/x.md?1", "kit://a/x.md?2", "kit://a/x.md", "kit://a/b", "kit://a/b#c"]
    marked = [f"kit/a/x ({_mark(uri)}).md" for uri in uris[1:3]]
    assert [path for _, path in assign_paths(uris)] == [
        "kit/a/x.md", *marked, "kit/a/b", f"kit/a/b ({_mark('kit://a/b#c')})",
    ]  # fmt: skip


def test_a_uri_whose_path_is_a_folder_of_another_is_marked_whatever_the_order() -> None:
    uris = ["wiki://page", "wiki://page/sub", "wiki://page/sub/deep.md"]
    told = {
        "wiki://page": f"wiki/page ({_mark('wiki://page')})",
        "wiki://page/sub": f"wiki/page/sub ({_mark('wiki://page/sub')})",
        "wiki://page/sub/deep.md": "wiki/page/sub/deep.md",
    }
    assert dict(assign_paths(uris)) == dict(assign_paths(reversed(uris))) == told


def test_a_name_that_looks_marked_already_takes_nothing_from_another() -> None:
    second = "kit://a?2"
    uris = [f"kit://a%20({_mark(second)})", "kit://a", second]
    paths = [path for _, path in assign_paths(uris)]
    assert len(set(paths)) == 3
    assert paths[2] == f"kit/a ({_mark(second)}) ({_mark(second)})"


def test_a_long_name_keeps_its_ending_and_a_deep_path_is_skipped() -> None:
    made = make_path("kit://" + "é" * 200 + ".json")
    assert isinstance(made, str)
    name = made.rpartition("/")[2]
    assert len(name.encode()) <= 255
    assert name.endswith(").json")
    deep = "kit://" + "a/" * 300
    with scripted_mcp({deep: "x", "kit://b": "y"}) as server, opened(server) as transport:
        skipped, entry = transport.walk()
    assert isinstance(skipped, Skipped)
    assert isinstance(entry, RemoteEntry)


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("wiki://**", ["wiki://", "wiki://a/b"], ["wik://a", "xwiki://a"]),
        ("wiki://*/a", ["wiki:///a", "wiki://b/a"], ["wiki://b/c/a", "wiki://b/a/"]),
        ("**/*.md", ["kit://a/b.md", "kit://b.md"], ["kit://a.mdx", "b.md"]),
        ("kit://?", ["kit://a"], ["kit://", "kit:///", "kit://ab"]),
        ("[a].*", ["[a].b"], ["a.b"]),
        ("***", ["", "a/b"], []),
    ],
)
def test_a_glob_takes_whole_uris(glob: str, yes: list[str], no: list[str]) -> None:
    assert [uri for uri in [*yes, *no] if UriGlob(glob).matches(uri)] == yes


def test_only_the_uris_that_a_person_names_are_taken() -> None:
    with scripted_mcp(NOTES | {"other://x": "x"}) as server:
        assert listed(server, include_uris=("kit://notes/1*/**", "other://*")) == [
            "kit/notes/1/a.md", *[f"kit/notes/1{n}/a.md" for n in range(10)], "other/x",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Kit://Notes/a", "kit://notes/a", True),
        ("kit://notes", "kit://notes/", True),
        ("kit://a/%7eb", "kit://a/~b", True),
        ("kit://a/%2fb", "kit://a/%2Fb", True),
        ("kit://a/%2fb", "kit://a//b", False),
        ("kit://a/B", "kit://a/b", False),
        ("a b", "a%20b", False),
    ],
)
def test_uris_are_one_where_the_standard_says_so(one: str, other: str, same: bool) -> None:
    assert is_same_uri(one, other) is same


# Several messages in one: only revision 2025-03-26 has them.


def answer_in_batches(version: str, kind: str) -> Habit:
    """The answer comes last, in one array with a notification and a request of the server's."""

    def habit(call: Call, conversation: Conversation) -> Any:
        if call.method == "initialize":
            return {"protocolVersion": version, **server.describe()}
        if not call.method.startswith("resources/"):
            return None
        asked = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}}
        told = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "[x]"}}
        answer = {"jsonrpc": "2.0", "id": call.id, "result": server.obey(call, False)}
        first, last = json.dumps([told, told]), json.dumps([asked, told, answer])
        if kind == EVENTS:
            conversation.answer(f"data: {first}\n\ndata: {last}\n\n".encode(), kind)
        else:
            conversation.answer(last.encode(), kind)
        return SAID

    server = ScriptedMcp(dict(NOTES))
    return habit


@pytest.mark.parametrize("kind", [EVENTS, JSON])
def test_messages_of_an_array_are_taken_one_by_one_in_the_revision_that_has_them(
    kind: str,
) -> None:
    habit = answer_in_batches("2025-03-26", kind)
    with scripted_mcp(NOTES, habit, eras=(LEGACY,)) as server:
        answers = fetch_all(server)
        assert server.calls[-1].fields["mcp-protocol-version"] == "2025-03-26"
    assert {uri: answer.receipt for uri, answer in answers.items()} == {
        uri: digest_of(str(text).encode()) for uri, text in NOTES.items()
    }


def test_an_array_is_no_message_in_another_revision() -> None:
    habit = answer_in_batches("2025-06-18", EVENTS)
    with scripted_mcp(NOTES, habit, eras=(LEGACY,)) as server, pytest.raises(McpProtocol):
        listed(server)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"[" + b'{"method":"a"},' * 5_000 + b'{"method":"a"}]', McpProtocol),
        (b"[" * 5_000, McpProtocol),
        (b"[1]", McpProtocol),
        (b"[]", Truncated),
        (b'[{"method":"a"},', Truncated),
        (b'[{"jsonrpc":"2.0","id":99,"result":{"resources":[]}}]', McpWrongId),
        (b'[{"id":1,"method":"elicitation/create"}]', NeedsPerson),
    ],
)
def test_an_array_that_cannot_be_trusted_is_an_error(
    said: bytes, error: type[TransportError]
) -> None:
    def habit(call: Call, conversation: Conversation) -> Any:
        if call.method == "initialize":
            return {"protocolVersion": "2025-03-26", **server.describe()}
        if call.method == method:
            return say(b"data: " + said + b"\n\n", EVENTS)(call, conversation)
        return None

    with scripted_mcp(NOTES, habit, eras=(LEGACY,)) as server:
        method = "resources/list"
        with pytest.raises(error):
            listed(server)
        method = "resources/read"
        assert {type(answer.error) for answer in fetch_all(server).values()} == {error}


# The connection test, and the way there.


def stages(server: ScriptedMcp, **options: Any) -> dict[ConnectionStage, StageResult]:
    results = probe(SPEC, server.target(**options), loopback_context())
    return {result.stage: result for result in results}


def test_the_connection_test_goes_from_the_name_to_a_resource() -> None:
    with scripted_mcp(NOTES) as server:
        told = stages(server)
    assert not [result for result in told.values() if result.outcome is StageOutcome.FAILED]
    assert told[ConnectionStage.READ].detail == "read from 'kit/notes/0/a.md'"
    assert "scripted 1 (MCP 2026-07-28)" in told[ConnectionStage.FEATURES].detail
    assert "times: not told by this protocol" in told[ConnectionStage.FEATURES].detail
    assert list(told)[:6] == ["resolve", "connect", "tls", "log_in", "list", "read"]
    assert told[ConnectionStage.TLS].outcome is StageOutcome.SKIPPED  # plain HTTP


@pytest.mark.parametrize(
    ("habit", "stage", "code"),
    [
        (say(b"", status="401 Unauthorized"), ConnectionStage.LOG_IN, "auth_failed"),
        (say(b"<html>", "Content-Type: text/html"), ConnectionStage.LOG_IN, "mcp_protocol"),
        (
            on("resources/list", lambda _c, _: {"resources": [{"uri": "a"}, {"uri": "a"}]}),
            ConnectionStage.LIST,
            "mcp_duplicate_uri",
        ),
        (
            on("resources/read", lambda _c, _: {"contents": []}),
            ConnectionStage.READ,
            "mcp_contents",
        ),
    ],
)
def test_the_connection_test_says_where_it_ended(
    habit: Habit, stage: ConnectionStage, code: str
) -> None:
    with scripted_mcp(NOTES, habit) as server:
        told = stages(server)
    assert (told[stage].outcome, told[stage].code) == (StageOutcome.FAILED, code)
    assert told[stage].advice
    assert [result.outcome for result in told.values()].count(StageOutcome.FAILED) == 1


def test_tls_is_verified_before_anything_is_asked(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.server)
    with scripted_mcp(NOTES, tls=tls) as server:
        with pytest.raises(TlsRefused):
            listed(server, scheme="https")
        assert stages(server, scheme="https")[ConnectionStage.TLS].code == "tls"
        assert server.calls == []
        assert len(listed(server, scheme="https", ca_certificate=made.authority)) == 25


def test_work_that_is_over_ends_a_read_that_waits() -> None:
    class Over(Exception):
        pass

    over: list[bool] = []

    def check() -> None:
        if over:
            raise Over

    def wait(_: Call, conversation: Conversation) -> Any:
        over.append(True)
        while conversation.wait(5):
            pass
        return SAID

    with scripted_mcp(NOTES, on("resources/read", wait)) as server:
        transport = SPEC.open(server.target(), loopback_context(check=check))
        assert isinstance(transport, McpTransport)
        entries = [item for item in transport.walk() if isinstance(item, RemoteEntry)]
        sink = DigestSink()
        with pytest.raises(Over):
            list(transport.fetch(entries, sink))
        assert not sink.left_open
        transport.close()
