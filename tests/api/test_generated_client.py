"""A client that is generated from the document makes, reads, changes and deletes every resource."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from tests.api.document import DOCUMENT, Resource, resources
from tests.outbox.rows import make_client
from tests.rows import make_workspace
from workspaces.models import Member, Role
from workspaces.tokens import create_token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1_800)]
PACKAGE = "generated_sync_client"
CLIENT = """\
post_hooks: []
content_type_overrides:
  application/zip: application/octet-stream
"""

# By resource: what a new one is made of, and a change of it. A resource without `POST` has no first part.
OF_FILES = {
    "name": "reports-host",
    "kind": "sftp",
    "host": "files.example.com",
    "options": {"username": "sync", "root": "/exports"},
    "secret": {"password": "canary"},
}
EXAMPLES: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]] = {
    "connectors": (OF_FILES, {"options": {"root": "/other"}, "max_running": 2}),
    "sync-jobs": (
        {
            "name": "nightly",
            "connector": "kept-host",
            "schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
            "windows": [{"days": ["mon"], "from": "22:00", "to": "06:00"}],
            "limits": {"max_files": 5},
        },
        {"enabled": False, "limits": {"max_files": 7}},
    ),
    "streams": (
        {"name": "meters", "client": "client-0", "configuration_schema": {"type": "object"}},
        {"batch_size": 10},
    ),
    "tokens": ({"name": "ci", "role": "viewer"}, None),
    "invitations": ({"name": "eve@example.com", "role": "operator"}, None),
    "backfills": (
        {"job": "kept-job", "since": "2026-01-01T00:00:00Z", "until": "2026-01-03T00:00:00Z"},
        None,
    ),
    "members": (None, {"role": "viewer"}),
    "datasets": (None, None),
    "settings": (
        None,
        {"max_running": 3, "keep_versions": 7, "windows": [{"from": "22:00", "to": "06:00"}]},
    ),
    "connectivity": (None, {"watch": False}),
    "alert-rules": (
        {"name": "three", "kind": "failures_in_a_row", "params": {"count": 3}},
        {"severity": "critical"},
    ),
    "alert-channels": (
        {"name": "ops", "url": "json://hooks.example.com/hook", "min_severity": "warning"},
        {"enabled": False},
    ),
}
# Rows that stay to be looked at when their thing has gone, and say so.
STAY = {"tokens": "revoked", "invitations": "withdrawn"}


@dataclass(frozen=True)
class Generated:
    """The package, and a client of it that is logged in."""

    operations: dict[str, ModuleType]
    client: Any

    def call(
        self, operation_id: str | None, body: dict[str, Any] | None = None, **named: Any
    ) -> Any:
        """The answer of an operation. What it says was understood by the shape that belongs to its status."""
        assert operation_id is not None
        ask = self.operations[operation_id].sync_detailed
        if body is not None:
            named["body"] = _shaped(typing.get_type_hints(ask)["body"], body)
        answer = ask(client=self.client, **named)
        if answer.content:
            told = answer.parsed.to_dict()
            assert set(told) == set(json.loads(answer.content)), operation_id
            assert (type(answer.parsed).__name__ == "Problem") == (answer.status_code >= 400)
        return answer


def _shaped(hint: Any, body: dict[str, Any]) -> Any:
    """The body as the shape that takes it: a connector is one of several, by its kind."""
    shapes = [one for one in (typing.get_args(hint) or (hint,)) if hasattr(one, "from_dict")]
    for shape in shapes:
        try:
            made = shape.from_dict(json.loads(json.dumps(body)))
        except (ValueError, KeyError, TypeError):
            continue
        return made
    raise AssertionError(f"none of {shapes} takes {body}")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The document as it is served, made into a package by openapi-python-client."""
    home = tmp_path_factory.mktemp("generated")
    (home / "openapi.json").write_bytes(Client().get("/api/openapi.json").content)
    (home / "config.yaml").write_text(CLIENT)
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client"),
            "generate",
            "--path=openapi.json",
            "--config=config.yaml",
            "--meta=none",
            f"--output-path={PACKAGE}",
            "--fail-on-warning",
        ],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(home))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(home))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


@pytest.fixture
def generated(package: ModuleType, live_server: LiveServer) -> Iterator[Generated]:
    found = pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")
    modules = [importlib.import_module(each.name) for each in found if not each.ispkg]
    operations = {
        each.__name__.rpartition(".")[2]: each for each in modules if hasattr(each, "sync_detailed")
    }
    token = create_token(make_workspace(), name="program", role=Role.ADMIN)[1]
    with package.AuthenticatedClient(base_url=live_server.url, token=token) as client:
        yield Generated(operations, client)


@pytest.fixture(autouse=True)
def _people_and_client_systems(db: None) -> None:
    make_client()
    boss, grace = (User.objects.create_user(name, password="x") for name in ("boss", "grace"))
    Member.objects.create(workspace=make_workspace(), user=boss, role=Role.ADMIN)
    Member.objects.create(workspace=make_workspace(), user=grace, role=Role.OPERATOR)


def test_item_11_every_operation_of_the_document_is_in_the_client(generated: Generated) -> None:
    stated = {
        operation["operationId"]
        for path in DOCUMENT["paths"].values()
        for operation in path.values()
    }
    assert stated == set(generated.operations)


def test_item_11_every_resource_has_an_example_here() -> None:
    assert {resource.name for resource in resources()} <= set(EXAMPLES)


@pytest.mark.parametrize("resource", resources(), ids=lambda resource: resource.name)
def test_item_11_a_generated_client_makes_reads_changes_and_deletes(
    generated: Generated, resource: Resource
) -> None:
    given: dict[str, Any] = {"workspace": "acme"}
    prepare(generated)
    new, change = EXAMPLES[resource.name]
    if resource.create is not None:
        made = generated.call(resource.create, new, **given)
        assert made.status_code in (201, 202), made.content
        given[resource.key] = json.loads(made.content)["id"]
        listed = generated.call(resource.listing, limit=200, **given_of(resource, given))
        assert given[resource.key] in [item["id"] for item in json.loads(listed.content)["items"]]
    elif resource.name == "members":
        given[resource.key] = "grace"
    elif resource.name == "connectivity":
        given[resource.key] = "kept-host"
    elif resource.name == "datasets":  # of a job that is switched off
        off = {"job": "kept-job", "workspace": "acme"}
        assert generated.call("api_jobs_change_job", {"enabled": False}, **off).status_code == 200
        given[resource.key] = "kept-job"
    told = read(generated, resource, given)
    if resource.replace is not None:
        put = generated.call(resource.replace, told, **given)
        assert put.status_code == 200, put.content
        assert still(json.loads(put.content)) == still(told)
    if resource.change is not None:
        assert change is not None
        changed = generated.call(resource.change, change, **given)
        assert changed.status_code == 200, changed.content
        holds(json.loads(changed.content), change)
        holds(read(generated, resource, given), change)
    if resource.replace is not None:  # what is left out gets its default again
        put = generated.call(resource.replace, told, **given)
        assert still(read(generated, resource, given)) == still(told)
    if resource.remove is not None:
        assert generated.call(resource.remove, **given).status_code in (200, 204)
        gone = generated.call(resource.read, **given)
        if resource.name in STAY:
            assert json.loads(gone.content)["state"] == STAY[resource.name]
        else:
            assert gone.status_code == 404, gone.content


def prepare(generated: Generated) -> None:
    host = generated.call(
        "api_connectors_create_connector", OF_FILES | {"name": "kept-host"}, workspace="acme"
    )
    assert host.status_code == 201, host.content
    job = {"name": "kept-job", "connector": "kept-host", "schedule": {"every_s": 86_400}}
    assert generated.call("api_jobs_create_job", job, workspace="acme").status_code == 201


def given_of(resource: Resource, given: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the one thing."""
    return {name: value for name, value in given.items() if name != resource.key}


def read(generated: Generated, resource: Resource, given: dict[str, Any]) -> dict[str, Any]:
    answer = generated.call(resource.read, **given)
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = json.loads(answer.content)
    return told


def still(told: dict[str, Any]) -> dict[str, Any]:
    """Without the moments, which go on."""
    return {
        name: value
        for name, value in told.items()
        if name not in ("updated_at", "next_run_at", "next_fires")
    }


def holds(told: dict[str, Any], change: dict[str, Any]) -> None:
    for name, value in change.items():
        if isinstance(value, dict):
            holds(told[name], value)
        else:
            assert told[name] == value, name


def test_item_11_a_refusal_is_a_problem_in_the_client_too(generated: Generated) -> None:
    refused = generated.call(
        "api_jobs_create_job", {"name": "one", "connector": "nobody"}, workspace="acme"
    )
    assert (refused.status_code, refused.parsed.status) == (400, 400)
    assert list(refused.parsed.errors.to_dict()) == ["connector"]
