"""`manage.py mcp`: both eras on standard input and output, in the name of SYNC_TOKEN."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.mcp.eras import LEGACY, MODERN
from embedded.child import PROJECT
from tests.agents.asking import Agent, agent
from tests.agents.conftest import environment
from tests.agents.printing import WORDS
from tests.agents.test_resources import held, publish
from workspaces.models import ApiToken

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
MANAGE = (str(PROJECT / "manage.py"), "mcp")


class Program:
    """The command, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout

    def say(self, *messages: Any) -> None:
        for message in messages:
            body = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.stdin.write(body + b"\n")
        self.stdin.flush()

    def hear(self) -> Any:
        line = self.stdout.readline()
        assert line, "the command has ended"
        return json.loads(line)

    def ask(self, message: Any) -> Any:
        self.say(message)
        return self.hear()


@contextmanager
def running(folder: Path, words: tuple[str, ...] = MANAGE, **variables: str) -> Iterator[Program]:
    with (folder / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=PROJECT,
            env=environment() | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        program = Program(process)
        try:
            yield program
            program.stdin.close()
            assert program.stdout.read() == b""
            assert process.wait(90) == 0, (folder / "stderr.log").read_text()
        finally:
            process.kill()
            process.wait()
            program.stdin.close()
            program.stdout.close()


def numbered(who: Agent, number: Any, method: str, params: Any = None) -> dict[str, Any]:
    return who.message(method, params) | {"id": number}


@pytest.mark.parametrize("version", [MODERN, LEGACY[0]])
def test_b09_both_eras_are_served_with_the_token_of_the_environment(
    version: str, tmp_path: Path
) -> None:
    held({"ä.md": b"text"})
    who = agent(version=version)
    with running(tmp_path, SYNC_TOKEN=who.token) as program:
        first = "server/discover" if version == MODERN else "initialize"
        told = program.ask(numbered(who, 1, first, {"protocolVersion": version}))
        assert (told["id"], told["result"]["serverInfo"]["name"]) == (1, "syncproject")
        program.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
        listed = program.ask(numbered(who, "b", "resources/list"))["result"]["resources"]
        uri = listed[1]["uri"]
        read = program.ask(numbered(who, 3, "resources/read", {"uri": uri}))
        assert read["result"]["contents"][0]["text"] == "text"
        called = program.ask(numbered(who, 4, "tools/call", {"name": "list_connectors"}))
        assert called["result"]["structuredContent"]["next"] is None
        assert program.ask(numbered(who, 5, "no/such"))["error"]["code"] == -32601
        assert program.ask(b"{")["error"]["code"] == -32700
        assert program.ask(b"[]")["error"]["code"] == -32600
        assert program.ask(b"x" * 3_000_000)["error"]["code"] == -32600
        assert program.ask(numbered(who, 6, "tools/list"))["id"] == 6


@pytest.mark.parametrize("token", ["", "sp_no_such", "expired"])
def test_b09_without_a_live_token_every_call_says_what_to_do(token: str, tmp_path: Path) -> None:
    who = agent()
    if token == "expired":
        token = who.token
        ApiToken.objects.update(expires_at="2026-01-01T00:00:00Z")
    with running(tmp_path, SYNC_TOKEN=token) as program:
        for number, method in enumerate(("server/discover", "tools/list", "initialize", "x")):
            told = program.ask(numbered(who, number, method))
            assert (told["id"], told["error"]["code"]) == (number, -32001)
            assert "create_token" in told["error"]["message"]


def test_b09_a_tool_that_prints_says_nothing_on_standard_output(tmp_path: Path) -> None:
    who = agent()
    words = ("-m", "tests.agents.printing")
    with running(
        tmp_path, words, SYNC_TOKEN=who.token, DJANGO_SETTINGS_MODULE="syncproject.settings"
    ) as program:
        told = program.ask(numbered(who, 1, "tools/call", {"name": "print"}))
        assert told["result"]["structuredContent"] == {"said": "it"}
        assert program.ask(numbered(who, 2, "tools/list"))["id"] == 2
    assert (tmp_path / "stderr.log").read_text().count(WORDS) == 3


def test_b09_many_requests_at_once_are_each_answered_once(tmp_path: Path) -> None:
    who = agent()
    with running(tmp_path, SYNC_TOKEN=who.token) as program:
        program.say(*(numbered(who, n, "tools/call", {"name": "sync_status"}) for n in range(50)))
        program.stdin.close()
        told = [json.loads(line) for line in program.stdout]
    assert sorted(each["id"] for each in told) == list(range(50))
    assert [each["error"] for each in told if "error" in each] == []


def test_b09_a_subscription_is_told_and_ended_among_other_calls(tmp_path: Path) -> None:
    dataset = held({"a": b"1"})
    who = agent()
    with running(tmp_path, SYNC_TOKEN=who.token) as program:
        wanted = {"notifications": {"resourcesListChanged": True}}
        told = program.ask(numbered(who, "s", "subscriptions/listen", wanted))
        assert told["method"] == "notifications/subscriptions/acknowledged"
        assert (
            program.ask(numbered(who, "t", "subscriptions/listen", wanted))["error"]["code"]
            == -32003
        )
        assert program.ask(numbered(who, 2, "tools/list"))["id"] == 2
        publish(dataset, {"a": b"2"})
        assert program.hear()["method"] == "notifications/resources/list_changed"
        end = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "s"}}
        program.say(end)
        again = program.ask(numbered(who, "u", "subscriptions/listen", wanted))
        assert again["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "u"


def test_the_token_of_a_stack_that_runs_beside_it_is_taken(tmp_path: Path) -> None:
    who = agent()
    (tmp_path / "stack.env").write_text(f"SYNC_TOKEN={who.token}\n")
    assert "SYNC_TOKEN" not in os.environ
    with running(tmp_path, DATA_DIR=str(tmp_path)) as program:
        assert "result" in program.ask(numbered(who, 1, "tools/list"))
