"""Clients that others have made, against the real web process and the real command: the official SDKs of Python in both
eras, the SDK of TypeScript, the Inspector, and the public conformance scenarios that apply."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.mcp.eras import MODERN
from api.mcp.tools.table import TOOLS
from datasets.models import Dataset
from embedded import ports, programs
from embedded.child import PROJECT, Child
from tests.agents.asking import Agent, agent
from tests.agents.conftest import environment
from tests.agents.test_resources import held, publish
from workspaces.models import Role

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
]
CLIENTS = PROJECT / ".venv" / "mcp-clients"
NODE = CLIENTS / "node"
SCRIPTS = Path(__file__).parent / "clients"
LOOK = {"do": "look", "tool": "list_connectors", "arguments": {"limit": 5}}


@pytest.fixture(scope="session", autouse=True)
def _clients() -> None:
    ran = subprocess.run(
        [PROJECT / "deploy" / "install-mcp-clients"], capture_output=True, text=True, check=True
    )
    assert "missing" not in ran.stdout, ran.stdout + ran.stderr


def program(client: str, asked: dict[str, Any]) -> list[str]:
    if client == "typescript":
        # Node looks for packages beside the script.
        script = NODE / "typescript.mjs"
        script.write_text((SCRIPTS / script.name).read_text())
        return [str(NODE / "bin" / "node"), str(script), json.dumps(asked)]
    folder, script = {
        "python 2.3": ("mcp-2.3.0", SCRIPTS / "python_modern.py"),
        "python 1.30": ("mcp-1.30.0", SCRIPTS / "python_legacy.py"),
    }[client]
    return [str(CLIENTS / folder / "bin" / "python"), str(script), json.dumps(asked)]


def run(client: str, who: Agent, asked: dict[str, Any]) -> Any:
    env = environment() | {"SYNC_TOKEN": who.token}
    ran = subprocess.run(
        program(client, asked), env=env, capture_output=True, text=True, check=False, timeout=400
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout)


def check(told: Any, version: str, missing: int) -> None:
    """What each client is to have found."""
    assert (told["version"], told["server"]) == (version, "syncproject")
    assert told["tools"] == [tool.name for tool in TOOLS.values() if tool.role == Role.VIEWER]
    assert set(told["hints"].values()) == {True}
    assert told["structured"]["next"] is None
    assert told["wrong"] == [True, "invalid_arguments"]
    assert (told["pages"], len(told["uris"]), len(set(told["uris"]))) == (2, 251, 251)
    assert (told["read"], told["provenance"]) == ("grün", "ä b/ü.md")
    assert (told["missing"], told["completed"], told["templates"]) == (missing, ["handbook"], 4)


@pytest.fixture
def uri(transactional_db: None) -> str:
    held({f"{n:03}.md": b"" for n in range(249)} | {"ä b/ü.md": "grün".encode()})
    return "sync://handbook/files/%C3%A4%20b/%C3%BC.md"


TABLE = [
    ("python 2.3", MODERN, -32602),
    ("python 1.30", "2025-11-25", -32002),
    ("typescript", "2025-11-25", -32002),
]


@pytest.mark.parametrize(("client", "version", "missing"), TABLE)
def test_b01_a_client_of_others_finds_all(
    client: str, version: str, missing: int, web: str, uri: str
) -> None:
    check(run(client, agent(), {**LOOK, "url": f"{web}/mcp", "uri": uri}), version, missing)


@pytest.mark.parametrize(("client", "version", "missing"), TABLE[:2])
def test_b09_a_client_of_others_starts_the_command(
    client: str, version: str, missing: int, uri: str
) -> None:
    command = [sys.executable, str(PROJECT / "manage.py"), "mcp"]
    told = run(client, agent(), {**LOOK, "command": command, "uri": uri})
    told["server"] = (
        told["server"] or "syncproject"
    )  # a client that is told the revision asks for nothing
    check(told, version, missing)


def test_the_sdk_hears_of_a_publication(web: str, uri: str) -> None:
    asked = {"do": "hear", "url": f"{web}/mcp", "uri": "sync://handbook/manifest"}
    who = agent()
    with subprocess.Popen(
        program("python 2.3", asked),
        env=os.environ | {"SYNC_TOKEN": who.token},
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        assert json.loads(client.stdout.readline()) == {"listens": True}
        publish(Dataset.objects.get(name="handbook"), {"new.md": b"x"})
        told = json.loads(client.stdout.readline())
    assert told == {"events": ["ResourcesListChanged", "ResourceUpdated"]}


@pytest.mark.parametrize("era", ["legacy", "auto", "modern"])
def test_the_inspector_finds_all(era: str, web: str, uri: str) -> None:
    token = agent().token

    def inspect(*words: str) -> Any:
        ran = subprocess.run(
            [
                *(NODE / "bin" / "node", NODE / "node_modules" / ".bin" / "mcp-inspector", "--cli"),
                *(f"{web}/mcp", "--protocol-era", era),
                *("--header", f"Authorization: Bearer {token}", *words),
            ],
            env=os.environ | {"PATH": f"{NODE / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert ran.returncode == 0, ran.stderr[-4000:]
        return json.loads(ran.stdout)

    listed = inspect("--method", "tools/list", "--strict")["tools"]
    assert "list_connectors" in [tool["name"] for tool in listed]
    called = inspect("--method", "tools/call", "--tool-name", "list_connectors")
    assert called["structuredContent"]["next"] is None
    read = inspect("--method", "resources/read", "--uri", uri)
    assert read["contents"][0]["text"] == "grün"


@pytest.fixture
def renamed(transactional_db: None, tmp_path: Path, _static_root: None) -> Iterator[str]:
    """The web process, for a client that can set no header and has names of its own."""
    port = ports.find_free()
    env = environment() | {"SYNC_TOKEN": agent(Role.ADMIN).token}
    web = programs.web(env, tmp_path, "127.0.0.1", port)
    words = ["tests.agents.renamed:application" if ":app" in word else word for word in web.argv]
    server = Child(replace(web, argv=tuple(words)))
    server.start()
    try:
        server.wait_until_ready()
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.stop()


# What stands for the scenarios' own resources (`tests.agents.renamed`).
FILES = {
    "static-text.txt": b"This is the content of the static text resource.",
    "static-binary.png": b"\x89PNG\r\n\x1a\n\x00\x00",
    "template/123.json": b'{"id": "123", "data": "Data for ID: 123"}',
}
SCENARIOS = [
    "server-initialize",
    "ping",
    "completion-complete",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-error",
    "json-schema-2020-12",
    "resources-list",
    "resources-read-text",
    "resources-read-binary",
    "resources-templates-read",
    "dns-rebinding-protection",
]
# Of what we do not offer, by why. A scenario that the suite adds has to be put here or above.
NOT_OFFERED = {
    "tools answer text and one JSON object, no other content": [
        "tools-call-image",
        "tools-call-audio",
        "tools-call-embedded-resource",
        "tools-call-mixed-content",
    ],
    "no session: a server asks and tells nothing in the middle of a call of an old revision": [
        "tools-call-with-logging",
        "tools-call-with-progress",
        "tools-call-sampling",
        "tools-call-elicitation",
        "elicitation-sep1034-defaults",
        "elicitation-sep1330-enums",
        "server-sse-polling",
        "server-sse-multiple-streams",
    ],
    "subscriptions are of revision 2026-07-28 alone": [
        "resources-subscribe",
        "resources-unsubscribe",
    ],
    "no logging": ["logging-set-level"],
    "no prompts": [
        "prompts-list",
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-embedded-resource",
        "prompts-get-with-image",
    ],
}


def conformance(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NODE / "bin" / "node", NODE / "node_modules" / ".bin" / "conformance", *map(str, words)],
        env=os.environ | {"PATH": f"{NODE / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def test_each_public_scenario_is_passed_or_is_of_what_we_do_not_offer() -> None:
    listed = conformance("list", "--server").stdout.partition("Client scenarios")[0]
    found = {line.split()[1] for line in listed.splitlines() if line.startswith("  - ")}
    told = [*SCENARIOS, *(name for names in NOT_OFFERED.values() for name in names)]
    assert found == set(told)
    assert len(told) == len(set(told))


def test_the_public_scenarios_that_apply_are_passed(renamed: str, tmp_path: Path) -> None:
    held(FILES, name="fixtures")
    for scenario in SCENARIOS:
        ran = conformance("server", "--url", renamed, "--scenario", scenario, "-o", tmp_path / scenario)  # fmt: skip
        assert ran.returncode == 0, f"{scenario}: {ran.stdout[-3000:]}{ran.stderr[-1000:]}"
        (told,) = tmp_path.glob(f"{scenario}/**/checks.json")
        outcomes = {check["status"] for check in json.loads(told.read_text())}
        assert outcomes <= {"SUCCESS", "INFO", "SKIPPED"}, told.read_text()
        assert "SUCCESS" in outcomes
