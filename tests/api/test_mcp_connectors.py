"""A connector of kind mcp at every surface: REST, YAML, the connection test, a look into its folders, its entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.configfile import load
from cli.management.commands.export import as_text
from connectors.models import Connector
from connectors.monitoring import check_now
from connectors.secrets import unseal
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from tests.agents.asking import Agent
from tests.api.asking import Asker, asker
from tests.hosts.scripted_mcp import scripted_mcp
from tests.hosts.sshd import Sshd
from tests.rows import make_connector, make_job, run
from workspaces.models import Role, Workspace

pytestmark = pytest.mark.django_db(transaction=True)
NEW: dict[str, Any] = {
    "name": "wiki-mcp",
    "kind": "mcp",
    "host": "wiki.example.com",
    "options": {"include_uris": ["wiki://**"], "max_resources": 500},
    "secret": {"token": "canary-7f3b"},
}
NOTES: dict[str, str | bytes] = {f"kit://notes/{n}/a.md": f"note {n}" for n in range(3)}
WRITTEN = """
workspaces:
  - name: acme
    connectors:
      - name: wiki-mcp
        kind: mcp
        host: wiki.example.com
        port: 443
        options: {scheme: https, path: /mcp, include_uris: ["wiki://**"], max_resources: 10000, protocol: auto}
        secret: {token: "${env:WIKI_TOKEN}"}
      - name: other-mcp
        kind: mcp
        host: other.example.com
        options: {header_name: X-API-Key}
        secret: {header_value: "${env:OTHER_KEY}"}
"""


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def test_it_is_made_by_rest_and_its_token_never_comes_out(admin: Asker) -> None:
    made = admin.post("connectors", NEW)
    assert made.status_code == 201, made.content
    told = made.json()
    assert (told["port"], told["has_secret"], told["secret_fields"]) == (443, True, ["token"])
    assert told["options"] == NEW["options"]
    assert b"canary" not in admin.get("connectors/wiki-mcp").content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", "npx"),
        ("args", ["-y", "server"]),
        ("env", {"A": "b"}),
        ("stdio", True),
        ("file", "/etc/passwd"),
    ],
)
def test_a_command_is_refused_at_every_surface(
    admin: Asker, tmp_path: Path, name: str, value: Any
) -> None:
    answer = admin.post("connectors", {**NEW, "options": {name: value}})
    assert answer.status_code == 400
    ((field, words),) = answer.json()["errors"].items()
    assert field.startswith(f"options.{name}")
    assert "never names a command" in str(words)
    assert not Connector.objects.exists()


def test_it_is_written_in_yaml_and_exported_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "syncproject.yaml"
    path.write_text(WRITTEN)
    secrets = {"WIKI_TOKEN": "a token", "OTHER_KEY": "a key"}
    apply_configuration(load(path, secrets).document)
    wiki, other = Connector.objects.order_by("-name")
    assert (wiki.port, unseal(wiki)["token"]) == (443, "a token")
    assert (other.port, unseal(other)["header_value"]) == (443, "a key")
    exported = export_configuration(Workspace.objects.all())
    path.write_text(as_text(exported))
    named = {name: name for name in exported.variables}
    again = apply_configuration(load(path, named).document)
    assert {change.action for change in again if "mcp" not in change.name} == {"unchanged"}
    assert "include_uris" in path.read_text()


def test_it_is_tested_looked_into_synced_and_watched(admin: Asker) -> None:
    with scripted_mcp(NOTES | {"other://x.txt": "x"}) as server:
        assert server.host is not None
        here = {"host": "127.0.0.1", "port": server.host.port, "options": {"scheme": "http"}}
        assert admin.post("connectors", {**NEW, **here}).status_code == 201
        tested = admin.post("connectors/wiki-mcp/test").json()
        assert tested["passed"] is True
        outcomes = {stage["stage"]: stage["outcome"] for stage in tested["stages"]}
        assert [outcomes[each] for each in ("resolve", "connect", "log_in", "list", "read")] == [
            "passed"
        ] * 5

        top = admin.get("connectors/wiki-mcp/browse").json()
        assert [(row["name"], row["type"]) for row in top["items"]] == [
            ("kit", "folder"),
            ("other", "folder"),
        ]
        below = admin.get("connectors/wiki-mcp/browse", {"path": "kit/notes/1"}).json()
        assert [(row["path"], row["type"]) for row in below["items"]] == [
            ("kit/notes/1/a.md", "file")
        ]

        job = make_job(Connector.objects.get(), name="wiki")
        assert run(job).error == ""
        entries = admin.items("datasets/wiki/versions/1/entries")
        assert {entry["path"]: entry["source"] for entry in entries} == {
            "kit/notes/0/a.md": "kit://notes/0/a.md",
            "kit/notes/1/a.md": "kit://notes/1/a.md",
            "kit/notes/2/a.md": "kit://notes/2/a.md",
            "other/x.txt": "other://x.txt",
        }
        assert check_now(Connector.objects.get()).state == "online"
    check_now(Connector.objects.get())
    assert check_now(Connector.objects.get()).state == "offline"


def test_the_test_of_a_server_of_tools_says_so(admin: Asker) -> None:
    with scripted_mcp(tools=14, capabilities={"tools": {}}) as server:
        assert server.host is not None
        here = {"host": "127.0.0.1", "port": server.host.port, "options": {"scheme": "http"}}
        assert admin.post("connectors", {**NEW, **here}).status_code == 201
        tested = admin.post("connectors/wiki-mcp/test").json()
        browsed = admin.get("connectors/wiki-mcp/browse")
    told = {stage["stage"]: stage for stage in tested["stages"]}
    assert (tested["passed"], told["list"]["code"]) == (False, "mcp_tools_only")
    assert "14 tools" in told["list"]["detail"]
    assert (browsed.status_code, browsed.json()["code"]) == (502, "mcp_tools_only")


def test_an_entry_of_another_kind_has_no_source(admin: Asker, sshd: Sshd, source: Path) -> None:
    (source / "a.txt").write_text("a")
    job = make_job(make_connector(sshd.target(source)), name="files")
    run(job)
    (entry,) = admin.items("datasets/files/versions/1/entries")
    assert entry["source"] is None


def test_a_search_and_an_agent_are_told_the_uri(admin: Asker) -> None:
    with scripted_mcp({"kit://notes/1/a.md": "a quokka sleeps"}) as server:
        job = make_job(make_connector(server.target(), kind="mcp"), name="wiki")
        run(job)
    (hit,) = admin.get("search", {"q": "quokka", "mode": "words"}).json()["items"]
    assert (hit["path"], hit["source"]) == ("kit/notes/1/a.md", "kit://notes/1/a.md")
    agent = Agent(admin.token)
    (line,) = agent.call("list_files", dataset="wiki")["items"]
    assert (line["path"], line["source"]) == ("kit/notes/1/a.md", "kit://notes/1/a.md")
    read = agent.call("read_file", dataset="wiki", path=line["path"])
    assert read["text"] == "a quokka sleeps"
    (told,) = agent.result("resources/read", {"uri": line["uri"]})["contents"]
    assert told["_meta"]["syncproject/provenance"]["source"] == "kit://notes/1/a.md"
