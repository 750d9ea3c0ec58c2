"""`subscriptions/listen` on the real web process: versions are told as they are published."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from api.mcp.eras import META_CAPABILITIES, META_VERSION, MODERN
from tests.agents.asking import Agent, agent
from tests.agents.test_resources import held, publish
from tests.waiting import until
from workspaces.models import ApiToken, Role

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
SOON_S = 3.0
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Listener:
    def __init__(self, web: str, who: Agent, notifications: Any) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(web).netloc, timeout=60)
        meta = {META_VERSION: MODERN, META_CAPABILITIES: {}}
        body = {
            "jsonrpc": "2.0",
            "id": "sub-1",
            "method": "subscriptions/listen",
            "params": {"_meta": meta, "notifications": notifications},
        }
        headers = {
            "Authorization": f"Bearer {who.token}",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": "subscriptions/listen",
        }
        self._connection.request("POST", "/mcp", json.dumps(body), headers)
        self.response = self._connection.getresponse()

    def messages(self) -> Iterator[dict[str, Any]]:
        while line := self.response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def opened(web: str, who: Agent, **notifications: Any) -> Listener:
    """Once who listened in another test is found to be gone."""
    found: list[Listener] = []

    def is_open() -> bool:
        found.append(Listener(web, who, notifications))
        if found[-1].response.status != 200:
            found.pop().close()
        return bool(found)

    until(is_open, "no place is free", within_s=20)
    return found[0]


@contextmanager
def listening(web: str, who: Agent, **notifications: Any) -> Iterator[Listener]:
    listener = opened(web, who, **notifications)
    try:
        yield listener
    finally:
        listener.close()


def test_a_publication_is_told_within_three_seconds(web: str) -> None:
    dataset = held({"a.md": b"1", "b.md": b"1"})
    held({"x": b""}, name="theirs", workspace="globex")
    uris = [
        "sync://handbook/manifest",
        "sync://handbook/files/a.md",
        "sync://handbook/files/b.md",
        "sync://theirs/manifest",
        "sync://nothing/manifest",
    ]
    with listening(web, agent(), resourcesListChanged=True, resourceSubscriptions=uris) as heard:
        assert heard.response.status == 200
        assert heard.response.getheader("Content-Type") == "text/event-stream"
        messages = heard.messages()
        first = next(messages)
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"] == {
            "notifications": {"resourcesListChanged": True, "resourceSubscriptions": uris[:3]},
            "_meta": {SUBSCRIPTION: "sub-1"},
        }
        began = time.monotonic()
        publish(dataset, {"a.md": b"2"})
        told = [next(messages) for _ in range(3)]
        assert time.monotonic() - began <= SOON_S
        assert [each["method"] for each in told] == [
            "notifications/resources/list_changed",
            "notifications/resources/updated",
            "notifications/resources/updated",
        ]
        assert [each["params"].get("uri") for each in told] == [None, *uris[:2]]
        assert {each["params"]["_meta"][SUBSCRIPTION] for each in told} == {"sub-1"}
        publish(dataset, {"c.md": b"3"}, removed=("b.md",))
        told = [next(messages) for _ in range(3)]
        assert [each["params"].get("uri") for each in told] == [None, uris[0], uris[2]]


def test_what_was_not_asked_for_is_not_told(web: str) -> None:
    dataset = held({"a.md": b"1"})
    with listening(web, agent(), resourceSubscriptions=["sync://handbook/files/a.md"]) as heard:
        messages = heard.messages()
        assert next(messages)["params"]["notifications"] == {
            "resourceSubscriptions": ["sync://handbook/files/a.md"]
        }
        publish(dataset, {"b.md": b"2"})
        publish(dataset, {"a.md": b"3"})
        assert next(messages)["params"]["uri"] == "sync://handbook/files/a.md"


def test_one_listens_a_token_and_four_a_process(web: str) -> None:
    held({"a.md": b"1"})
    crowd = [agent(name=f"agent {n}") for n in range(5)]
    open_now = [opened(web, who) for who in crowd[:4]]
    try:
        for who in (crowd[0], crowd[4]):
            refused = Listener(web, who, {})
            assert refused.response.status == 429
            assert int(refused.response.getheader("Retry-After") or 0) > 0
            assert json.loads(refused.response.read())["status"] == 429
            refused.close()
        open_now.pop().close()
        open_now.append(opened(web, crowd[4]))
    finally:
        for each in open_now:
            each.close()


def test_a_client_that_comes_back_at_once_is_let_in(web: str) -> None:
    held({"a.md": b"1"})
    who = agent()
    for _ in range(30):
        listener = Listener(web, who, {"resourcesListChanged": True})
        assert listener.response.status == 200
        assert next(listener.messages())["method"] == "notifications/subscriptions/acknowledged"
        listener.close()


def test_it_ends_when_the_token_is_revoked(web: str) -> None:
    with listening(web, agent(), resourcesListChanged=True) as heard:
        messages = heard.messages()
        next(messages)
        ApiToken.objects.update(revoked_at="2026-01-01T00:00:00Z")
        last = list(messages)
    assert [each["result"]["resultType"] for each in last] == ["complete"]
    assert last[0]["id"] == "sub-1"


@pytest.mark.parametrize(
    "notifications",
    [
        [],
        "x",
        {"resourceSubscriptions": "x"},
        {"resourceSubscriptions": [5]},
        {"resourceSubscriptions": ["sync://a/manifest"] * 101},
        {"resourcesListChanged": "yes"},
    ],
)
def test_what_no_listener_can_ask_for_is_refused(notifications: Any) -> None:
    who = agent(Role.VIEWER)
    told = who.ask("subscriptions/listen", {"notifications": notifications})
    assert told["error"]["code"] == -32602


def test_old_clients_cannot_listen() -> None:
    who = replace(agent(), version="2025-11-25")
    assert who.error("subscriptions/listen")["code"] == -32601
    assert who.error("resources/subscribe", {"uri": "sync://a/manifest"})["code"] == -32601
