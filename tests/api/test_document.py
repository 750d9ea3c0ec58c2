"""What the document says is what holds: bounds are stated, strange parameters refused, and errors are plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from farends.registry import SPECS
from farends.spec import LINES_MAX, NUMBER_MAX, InvalidOptions, option_fields, parse_options
from tests.api.asking import Asker, asker
from tests.api.document import DOCUMENT
from tests.api.schema_checks import PYTHON
from tests.api.test_access import send
from tests.api.test_doors import things_of, token_of
from tests.api.test_generated_client import EXAMPLES
from tests.api.test_names_that_are_none import OPERATIONS, Operation, ask
from tests.hosts.certificates import make_certificates
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
SCHEMAS = DOCUMENT["components"]["schemas"]
# Of what a body may hold as it likes: the configuration of a client system, and readings.
FREE = {"configuration_schema", "payload"}


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def unbounded(schema: dict[str, Any], place: str, seen: frozenset[str]) -> Iterator[str]:
    """The places of a shape that has no least, no most or no longest."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from unbounded(SCHEMAS[name], name, seen | {name})
        return
    if "enum" in schema or "const" in schema:
        return
    needed = {
        "integer": ("minimum", "maximum"),
        "number": ("minimum", "maximum"),
        "string": () if schema.get("format") in ("uuid", "date-time") else ("maxLength",),
        "array": ("maxItems",),
    }
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield from (f"{place} has no {word}" for word in needed.get(kind, ()) if word not in schema)
    inner = [*(schema.get(word, []) for word in ("anyOf", "oneOf", "allOf"))]
    below = [("", one) for each in inner for one in each]
    below += [(f".{name}", one) for name, one in schema.get("properties", {}).items()]
    below += [("[]", schema["items"])] if "items" in schema else []
    more = schema.get("additionalProperties")
    below += [(".*", more)] if isinstance(more, dict) else []
    for name, one in below:
        if name.strip(".") not in FREE:
            yield from unbounded(one, place + name, seen)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_item_11_every_field_and_parameter_states_its_bounds(operation: Operation) -> None:
    asked = [one for one in operation.spec.get("parameters", []) if one["in"] == "query"]
    bodies = operation.spec.get("requestBody", {}).get("content", {}).values()
    found = [
        *(words for one in asked for words in unbounded(one["schema"], one["name"], frozenset())),
        *(words for one in bodies for words in unbounded(one["schema"], "body", frozenset())),
    ]
    assert found == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_item_11_an_unknown_query_parameter_is_refused(operation: Operation) -> None:
    things = {key: quote(value) for key, value in things_of("acme", operation.path).items()}
    token = token_of("acme", Role.ADMIN)
    client = Client(raise_request_exception=False)
    known = [one["name"] for one in operation.spec.get("parameters", []) if one["in"] == "query"]
    needed = [
        f"{one['name']}=1"
        for one in operation.spec.get("parameters", [])
        if one["in"] == "query" and one["required"]
    ]
    slip = f"{known[0]}s" if known else "limitt"
    last = operation.path.rpartition("/")[2]
    body = {"role": "viewer"} if last == "{member}" else None
    if operation.method == "POST" and last in EXAMPLES:
        body = EXAMPLES[last][0]
    answer = ask(client, operation, things, token, "&".join([*needed, f"{slip}=1"]), body)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    if operation.method != "HEAD":
        assert list(answer.json()["errors"]) == [slip]
        assert slip in answer.json()["detail"]
        assert not known or f"did you mean {known[0]}?" in answer.text


def test_item_11_who_is_not_let_in_is_told_so_first() -> None:
    answer = Client().get("/api/workspaces/acme/sync-jobs?nonsense=1")
    assert answer.status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    ("path", "body", "missing"),
    [
        ("sync-jobs/{job}", {"enabled": False}, {"name", "connector"}),
        ("connectors/{connector}", {"max_running": 1}, {"kind"}),
        ("connectors/{connector}", {"kind": "sftp", "max_running": 1}, {"name", "host"}),
        ("streams/{stream}", {"batch_size": 1}, {"name", "client"}),
        ("members/{member}", {}, {"role"}),
    ],
)
def test_item_11_a_put_that_is_too_short_says_that_it_replaces(
    admin: Asker, path: str, body: dict[str, Any], missing: set[str]
) -> None:
    called = path.format(**things_of("acme"))
    refused = send(admin, "PUT", called, body)
    assert refused.status_code == HTTPStatus.BAD_REQUEST
    assert set(refused.json()["errors"]) == missing
    assert "PUT replaces the whole" in refused.json()["detail"]
    assert "PATCH" in refused.json()["detail"]
    patched = send(admin, "PATCH", called, {"nonsense": 1})
    assert "PUT" not in patched.json()["detail"]


ODD: list[Any] = [
    [],
    "text",
    {"name": 5, "connector": ["a"], "kind": "sftp", "options": []},
    {"name": "x\0y", "connector": {"dataset": None}, "host": None, "kind": "sftp"},
    {"name": "x" * 101, "connector": "", "kind": "nonsense", "port": 1 << 70},
    {"name": "", "connector": "c", "enabled": "yes", "max_attempts": 1.5, "port": 0},
    {"name": "a", "connector": "c", "schedule": {"every_s": True, "cron": 5, "frequency": "never"}},
    {"name": "a", "connector": "c", "windows": [5], "blackouts": [{"from": 1}, None]},
    {"name": "a", "connector": "c", "limits": {"max_files": -1, "x": 1}, "include": "no"},
    {"name": "a", "kind": "https", "host": "h", "options": {"sessions": 99, "no": {"a": [[]]}}},
    {"name": "a", "kind": "https", "host": "h", "options": {"a b": 1}, "secret": {"A": {}}},
    {"name": "a", "kind": "rest", "host": "h", "options": {"auth": 7}, "entities": {"a": 1}},
    {"name": "a", "client": 7, "batch_size": 0, "configuration_schema": []},
    {"name": "a", "role": "emperor", "expires_at": "soon", "max_running": float(1 << 60)},
]
RAW = [
    b"{",
    b"nothing",
    b'{"name": NaN}',
    b'{"name": "\xff"}',
    b"[" * 100_000,
    b'{"max_running": %s}' % (b"9" * 5_000),
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["sync-jobs", "connectors", "streams", "tokens", "settings"])
def test_item_11_no_python_appears_in_an_error(admin: Asker, method: str, path: str) -> None:
    things = things_of("acme")
    one = {"sync-jobs": "job", "connectors": "connector", "streams": "stream"}.get(path)
    if method != "POST" and one is not None:
        path = f"{path}/{things[one]}"
    client = Client(raise_request_exception=False)
    bodies = [*(json.dumps(body).encode() for body in ODD), *RAW]
    for body in bodies:
        answer = client.generic(
            method,
            f"/api/workspaces/acme/{path}",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {admin.token}"},
        )
        assert answer.status_code in (200, 201, 400, 404, 405), (answer.text, body[:200])
        if answer.status_code >= 400:
            told = answer.json()
            said = json.dumps([told["detail"], told["errors"]], ensure_ascii=False)
            assert not PYTHON.search(said), (said, body[:200])


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "limit=%00", "cursor=x", "enabled=7"])
def test_item_11_nor_in_one_of_a_query(admin: Asker, query: str) -> None:
    name, _, value = query.partition("=")
    refused = admin.get("sync-jobs", {name: value.replace("%00", "\0")})
    assert refused.status_code == HTTPStatus.BAD_REQUEST
    assert list(refused.json()["errors"]) == [name]
    assert not PYTHON.search(json.dumps(refused.json()["errors"]))


def test_item_11_a_bundle_of_certificates_is_taken_and_a_book_is_not(
    admin: Asker, tmp_path: Path
) -> None:
    one = make_certificates(tmp_path).authority
    body = {"name": "far", "kind": "https", "host": "files.example.com"}
    bundle = one * 20
    assert len(bundle) > 10_000
    made = send(admin, "POST", "connectors", body | {"options": {"ca_certificate": bundle}})
    assert made.status_code == HTTPStatus.CREATED, made.content
    assert admin.get("connectors/far").json()["options"]["ca_certificate"] == bundle
    too_long = {"options": {"ca_certificate": "x" * (LINES_MAX + 1)}}
    for method, path in (("POST", "connectors"), ("PUT", "connectors/far")):
        refused = send(admin, method, path, body | {"name": "other"} | too_long)
        assert refused.status_code == HTTPStatus.BAD_REQUEST
        assert list(refused.json()["errors"]) == ["options.ca_certificate"]
    refused = send(admin, "PATCH", "connectors/far", too_long)
    assert list(refused.json()["errors"]) == ["options.ca_certificate"]


@pytest.mark.parametrize("kind", SPECS)
def test_item_11_every_option_obeys_the_bounds_that_the_document_states(kind: str) -> None:
    """Wherever it comes from: REST, a file or the console."""
    spec = SPECS[kind]
    usual = {field.name: "x" for field in option_fields(spec.options) if field.required}
    if "engine" in usual:
        usual["engine"] = "postgresql"
    for field in option_fields(spec.options):
        stated = stated_of(kind, field.name)
        if field.type in (int, float):
            assert (stated["minimum"], stated["maximum"]) == (field.least, field.most)
            strange: list[Any] = [field.least - 1, field.most + 1]
            strange += [] if field.type is int else [float("nan"), float("inf")]
        elif field.type is str and not field.choices:
            assert stated["maxLength"] == field.most
            strange = ["x" * int(field.most + 1), "a\0b"]
        elif field.type is list:
            assert stated["items"]["maxLength"] == field.most
            strange = [["x" * int(field.most + 1)], ["a\0"]]
        else:
            continue
        for value in strange:
            with pytest.raises(InvalidOptions) as caught:
                parse_options(spec.options, {**usual, field.name: value})
            assert list(caught.value.problems) == [field.name]


def stated_of(kind: str, option: str) -> dict[str, Any]:
    """What the document says of an option in a body."""
    group, _, name = option.rpartition(".")
    shape = SCHEMAS[f"{kind.title()}Options{group.title()}"]["properties"][name]
    found: dict[str, Any] = next(one for one in shape["anyOf"] if one["type"] != "null")
    return found


def test_item_11_numbers_have_an_end() -> None:
    assert NUMBER_MAX < 1 << 53  # JavaScript keeps it whole
