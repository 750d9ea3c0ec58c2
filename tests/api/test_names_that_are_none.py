"""What can be no name or id is answered like what does not exist: a walk over the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client

from syncproject.urls import service
from tests.api.routes import routes
from tests.api.test_doors import BODIES, QUERIES, things_of, token_of
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT: dict[str, Any] = service.get_openapi_schema()
# A NUL; no UTF-8; longer than any column; a text that only looks like an id; a name with a NUL behind it.
STRANGE = ["%00", "%ED%A0%80", "x" * 5_000, "0" * 31 + "g", "acme%00"]
STRANGE_IN_JSON = ["\0", "\ud800", "x" * 200_000, "acme\0"]
PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    spec: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def texts_in_query(self) -> list[str]:
        found = [one for one in self.spec.get("parameters", []) if one["in"] == "query"]
        return [one["name"] for one in found if "string" in json.dumps(one["schema"])]

    @property
    def texts_in_body(self) -> list[str]:
        told = self.spec.get("requestBody", {}).get("content", {})
        return [name for each in told.values() for name in _texts_of(each["schema"])]


def _texts_of(schema: dict[str, Any]) -> Iterator[str]:
    """The properties that can be a text, of the schema or of those that it refers to."""
    for name, value in schema.get("properties", {}).items():
        if '"string"' in json.dumps(value) and value.get("description") != "Without effect.":
            yield name
    for inner in [schema, *schema.get("anyOf", [])]:
        if "$ref" in inner:
            name = inner["$ref"].rpartition("/")[2]
            yield from _texts_of(DOCUMENT["components"]["schemas"][name])


OPERATIONS = [
    Operation(method.upper(), path, spec)
    for path, operations in DOCUMENT["paths"].items()
    for method, spec in operations.items()
]


def ask(
    client: Client,
    operation: Operation,
    names: dict[str, str],
    token: str | None,
    query: str = "",
    body: dict[str, Any] | None = None,
) -> Any:
    """`names` as they stand in an address."""
    path = PARAMETER.sub(lambda match: names[match[1]], operation.path)
    query = query or QUERIES.get(operation.path.rpartition("/")[2], "")
    usual: Any = BODIES.get(str(operation), {})
    return client.generic(
        operation.method,
        f"{path}?{query}",
        data=json.dumps({**usual, **(body or {})}),
        content_type="application/json",
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
    )


@pytest.fixture
def quiet() -> Client:
    return Client(raise_request_exception=False)


def test_the_document_has_every_route() -> None:
    assert len(OPERATIONS) == len(routes())


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_n04_what_nothing_can_have_is_not_there(quiet: Client, operation: Operation) -> None:
    things = {key: quote(value) for key, value in things_of("acme", operation.path).items()}
    token = token_of("acme", Role.ADMIN)
    for name in PARAMETER.findall(operation.path):
        expected = ask(quiet, operation, things | {name: _missing(name)}, token)
        assert expected.status_code == 404, name
        for strange in STRANGE:
            answer = ask(quiet, operation, things | {name: strange}, token)
            assert (answer.status_code, answer.content) == (404, expected.content), (name, strange)
    for name in operation.texts_in_query:
        for strange in STRANGE:
            answer = ask(quiet, operation, things, token, f"{name}={strange}")
            assert answer.status_code != 500, name  # 502: `browse` calls a host that is not there
            if "%00" in strange or len(strange) > 4_000:
                assert answer.status_code in (400, 404), (name, strange)
    for name in operation.texts_in_body:
        for strange in STRANGE_IN_JSON:
            answer = ask(quiet, operation, things, token, body={name: strange})
            assert answer.status_code in (400, 404), (name, strange)


def _missing(name: str) -> str:
    if name.endswith("_id") or name == "invitation":
        return "00000000-0000-4000-8000-000000000000"
    return "9" if name == "number" else "nobody-has-this"


def test_n04_a_person_who_names_no_workspace_finds_none(quiet: Client) -> None:
    things = {key: quote(value) for key, value in things_of("acme").items()}
    quiet.force_login(User.objects.create_superuser("root", password="x"))
    for operation in OPERATIONS:
        for strange in STRANGE:
            if "{workspace}" in operation.path:
                answer = ask(quiet, operation, things | {"workspace": strange}, None)
            else:
                answer = ask(quiet, operation, things, None, f"workspace={strange}")
            assert answer.status_code == 404, (str(operation), strange)
            if operation.method != "HEAD":
                assert answer.json()["detail"] == "There is no such workspace."


def test_a_token_with_a_nul_lets_nobody_in(quiet: Client) -> None:
    for token in ("sp_\0_x", "sp__x", "sp_" + "x" * 5_000 + "_x"):
        answer = quiet.get("/status", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def test_a_filter_by_another_workspaces_name_finds_nothing(quiet: Client) -> None:
    """As one by a name that nobody has."""
    things_of("acme")
    theirs, token = things_of("lab"), token_of("acme", Role.ADMIN)
    headers = {"Authorization": f"Bearer {token}"}
    for path, name in (
        ("sync-records", "job"),
        ("sync-records", "connector"),
        ("sync-jobs", "connector"),
        ("backfills", "job"),
    ):
        for called in (theirs[name], "nobody-has-this"):
            told = quiet.get(f"/api/workspaces/acme/{path}", {name: called}, headers=headers)
            assert told.json() == {"items": [], "next": None}, path
