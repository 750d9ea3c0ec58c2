"""What an answer tells may be sent back; names are snake_case; the document shows what each kind of connector takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from cli.configfile import load
from connectors.models import Connector
from connectors.secrets import unseal
from farends.registry import SPECS
from farends.spec import FILES, option_fields
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.order.job import OPTIONS, belongs_to
from tests.api.asking import Asker, asker
from tests.api.test_access import send
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING: dict[str, Any] = {
    "name": "nightly-reports",
    "connector": "reports-host",
    "include": ["**/*.csv"],
    "exclude": ["**/drafts/**"],
    "filters": ["- tmp/**"],
    "extensions": [".csv"],
    "settle_s": 60,
    "done_pattern": "{name}.done",
    "sync_mode": "full",
    "comparison": "checksum",
    "verify_every_s": None,
    "schedule": {"cron": "0 2 * * *", "timezone": "America/New_York"},
    "jitter_s": 30,
    "misfire": "catch_up",
    "catch_up_max": 7,
    "max_lateness_s": 7200,
    "overlap": "skip",
    "windows": [{"days": ["mon"], "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}],
    "blackouts": [{"since": "2026-12-24T18:00:00Z", "until": "2026-12-27T06:00:00Z"}],
    "on_delete": "ignore",
    "keep_versions": 10,
    "keep_days": 90,
    "keep_bytes": 5_000_000_000,
    "after_publish": "move",
    "move_to": "done",
    "index": "words",
    "current_tree": "reports/nightly",
    "limits": {
        "max_file_size_bytes": 52428800,
        "max_age_s": 86400,
        "max_files": 1000,
        "max_bytes": 1_000_000_000,
        "timeout_s": 7200,
    },
    "max_attempts": 4,
    "pause_after_failures": None,
    "enabled": False,
    "tags": ["nightly", "of finance"],
}
AS_NEW: dict[str, Any] = {"limits": dict.fromkeys(EVERYTHING["limits"])}

AS_TEXT = """\
workspaces:
  - name: acme
    connectors:
      - {name: reports-host, kind: sftp, host: files.example.com, options: {username: sync, jump_port: "2222"}}
    sync_jobs:
      - name: odd
        connector: reports-host
        schedule: {every_s: 900, counted_from: end}
        windows: [{days: [Monday, TUE], from: 22:00, to: 06:00}]
        blackouts: [{since: 2026-12-24 18:00, until: 2026-12-27, reason: Christmas}, {from: 12:00, to: 13:00}]
        limits: {timeout_s: "60"}
        pause_after_failures: null
"""


@pytest.fixture(autouse=True)
def _trees(settings: Settings, tmp_path: Path) -> None:
    settings.TREE_ROOT = tmp_path


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def host(admin: Asker) -> dict[str, Any]:
    body = {
        "name": "reports-host",
        "kind": "sftp",
        "host": "files.example.com",
        "options": {"username": "sync", "ciphers": ["aes256-ctr"], "compression": True},
        "secret": {"password": "a secret"},
    }
    told: dict[str, Any] = send(admin, "POST", "connectors", body).json()
    return told


def without_moments(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "updated_at"}


def test_every_option_goes_in_and_comes_out_by_the_names_of_the_yaml(
    admin: Asker, host: dict[str, Any]
) -> None:
    of_files = {option for option in OPTIONS if belongs_to(option, FILES)}
    assert {*EVERYTHING, *EVERYTHING["limits"]} - {"limits"} == of_files
    made = send(admin, "POST", "sync-jobs", EVERYTHING)
    assert made.status_code == 201, made.content
    assert {name: made.json()[name] for name in EVERYTHING} == EVERYTHING


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_change_takes_each_option_alone(admin: Asker, host: dict[str, Any], name: str) -> None:
    send(admin, "POST", "sync-jobs", EVERYTHING)
    told = send(admin, "PATCH", "sync-jobs/nightly-reports", {name: EVERYTHING[name]})
    assert told.status_code == 200, told.content
    assert {name: told.json()[name] for name in EVERYTHING} == EVERYTHING


def test_a_job_that_was_read_is_put_back_unchanged(admin: Asker, host: dict[str, Any]) -> None:
    send(admin, "POST", "sync-jobs", EVERYTHING)
    told = admin.get("sync-jobs/nightly-reports").json()
    put = send(admin, "PUT", "sync-jobs/nightly-reports", told)
    assert put.status_code == 200, put.content
    assert without_moments(put.json()) == without_moments(told)
    told["settle_s"], told["last_error"], told["next_run_at"] = 61, "no such thing", None
    put = send(admin, "PUT", "sync-jobs/nightly-reports", told).json()
    assert (put["settle_s"], put["last_error"]) == (61, "")


def test_what_a_file_has_in_words_of_its_own_is_put_back_unchanged(
    admin: Asker, tmp_path: Path
) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text(AS_TEXT)
    apply_configuration(load(file).document)
    for path in ("sync-jobs/odd", "connectors/reports-host"):
        told = admin.get(path).json()
        put = send(admin, "PUT", path, told)
        assert put.status_code == 200, put.content
        assert without_moments(put.json()) == without_moments(told)
    assert told["options"]["jump_port"] == 2222
    assert [change.action for change in apply_configuration(load(file).document)] == [
        "unchanged"
    ] * 3


@pytest.mark.parametrize("kind", SPECS)
def test_a_connector_that_was_read_is_put_back_unchanged(admin: Asker, kind: str) -> None:
    spec = SPECS[kind]
    fields = option_fields(spec.options)
    usual = {
        each.name: (each.choices or ("sync",))[0] if each.required else each.default
        for each in fields
    }
    options = {name: value for name, value in usual.items() if value not in (None, "", ())}
    body = {"name": "far", "kind": kind, "host": "files.example.com", "options": options}
    secret = {option_fields(spec.secret)[0].name: "word"}
    made = send(admin, "POST", "connectors", body | {"secret": secret})
    assert made.status_code == 201, made.content
    told = admin.get("connectors/far").json()
    put = send(admin, "PUT", "connectors/far", told)
    assert put.status_code == 200, put.content
    assert without_moments(put.json()) == without_moments(told)
    assert unseal(Connector.objects.get()) == secret


def test_put_gives_what_is_not_named_its_default_within_limits_too(
    admin: Asker, host: dict[str, Any]
) -> None:
    send(admin, "POST", "sync-jobs", EVERYTHING)
    body = {"name": "nightly-reports", "connector": host["id"], "limits": {"max_files": 5}}
    told = send(admin, "PUT", "sync-jobs/nightly-reports", body).json()
    assert told["limits"] == {**AS_NEW["limits"], "max_files": 5}
    assert (told["settle_s"], told["pause_after_failures"], told["enabled"]) == (0, 5, True)


def test_null_gives_the_default_back_or_says_none(admin: Asker, host: dict[str, Any]) -> None:
    send(admin, "POST", "sync-jobs", EVERYTHING)
    change = {"include": None, "misfire": None, "max_lateness_s": None, "schedule": None}
    told = send(
        admin, "PATCH", "sync-jobs/nightly-reports", {**change, "limits": {"max_files": None}}
    ).json()
    assert [told[name] for name in change] == [[], "run_once", None, {}]
    assert (told["limits"]["max_files"], told["limits"]["max_bytes"]) == (None, 1_000_000_000)
    assert told["exclude"] == EVERYTHING["exclude"]
    refused = send(admin, "PATCH", "sync-jobs/nightly-reports", {"name": None})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["name"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sync-jobs", {"maxAttempts": 3}),
        ("sync-jobs", {"settleS": 3}),
        ("sync-jobs", {"limits": {"maxFiles": 3}}),
        ("sync-jobs", {"schedule": {"everyS": 900}}),
        ("sync-jobs", {"destination_database_id": "x"}),
        ("sync-jobs", {"next_fires": []}),
        ("connectors", {"maxRunning": 3}),
        ("connectors", {"syncIntervalS": 3}),
        ("connectors", {"sync_interval": 3}),
        ("connectors", {"has_secret": True}),
    ],
)
def test_other_spellings_and_what_cannot_be_changed_are_refused(
    admin: Asker, host: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    send(admin, "POST", "sync-jobs", EVERYTHING)
    name = "reports-host" if path == "connectors" else "nightly-reports"
    before = admin.get(f"{path}/{name}").json()
    refused = send(admin, "PATCH", f"{path}/{name}", body)
    (outer, inner), (told, *_) = next(iter(body.items())), refused.json()["errors"]
    assert refused.status_code == 400
    assert told == (f"{outer}.{next(iter(inner))}" if isinstance(inner, dict) else outer)
    assert admin.get(f"{path}/{name}").json() == before


def document() -> dict[str, Any]:
    told: dict[str, Any] = Client().get("/api/openapi.json").json()
    return told


def shape(told: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` of the document leads to."""
    found: dict[str, Any] = told["components"]["schemas"][reference["$ref"].rpartition("/")[2]]
    return found


def below(told: dict[str, Any], part: Any, seen: set[str]) -> Iterator[str]:
    """The names of all properties that a part of the document reaches."""
    if isinstance(part, list):
        for each in part:
            yield from below(told, each, seen)
    elif isinstance(part, dict):
        if part.get("$ref", "") not in ("", *seen):
            seen.add(part["$ref"])
            yield from below(told, shape(told, part), seen)
        if isinstance(part.get("properties"), dict):
            yield from part["properties"]
        for each in part.values():
            yield from below(told, each, seen)


def test_all_names_of_the_workspace_tree_are_snake_case_but_two_of_a_seed() -> None:
    told = document()
    tree = [part for path, part in told["paths"].items() if path.startswith("/api/workspaces")]
    names = set(below(told, tree, set()))
    assert {"max_file_size_bytes", "sync_interval_s", "private_key"} <= names
    odd = {name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)}
    assert odd == {"destinationDatabaseId", "entityFilter"}


def named(told: dict[str, Any], shown: dict[str, Any], within: str = "") -> Iterator[str]:
    """The names of options; those of a group with a dot."""
    for name, field in shown["properties"].items():
        inner = next((each for each in field.get("anyOf", []) if "$ref" in each), None)
        if inner is None:
            yield within + name
        else:
            yield from named(told, shape(told, inner), f"{name}.")


@pytest.mark.parametrize(
    ("path", "method", "answered"),
    [
        ("connectors", "post", False),
        ("connectors/{connector}", "put", False),
        ("connectors", "post", True),
        ("connectors/{connector}", "get", True),
    ],
)
def test_the_document_shows_what_each_kind_takes(path: str, method: str, answered: bool) -> None:
    told = document()
    operation = told["paths"][f"/api/workspaces/{{workspace}}/{path}"][method]
    status = "201" if method == "post" else "200"
    part = operation["responses"][status] if answered else operation["requestBody"]
    union = shape(told, part["content"]["application/json"]["schema"])
    assert union["discriminator"]["propertyName"] == "kind"
    assert set(union["discriminator"]["mapping"]) == set(SPECS)
    assert len(union["oneOf"]) == len(SPECS)
    for kind, reference in union["discriminator"]["mapping"].items():
        fields = shape(told, {"$ref": reference})["properties"]
        assert fields["kind"]["const"] == kind
        for noun, cls in (("options", SPECS[kind].options), ("secret", SPECS[kind].secret)):
            if answered and noun == "secret":
                assert noun not in fields
                continue
            place = fields[noun] if "$ref" in fields[noun] else fields[noun]["anyOf"][0]
            shown = shape(told, place)
            assert list(named(told, shown)) == [field.name for field in option_fields(cls)]
            assert shown.get("required", []) == (
                [] if answered else [f.name for f in option_fields(cls) if f.required]
            )
