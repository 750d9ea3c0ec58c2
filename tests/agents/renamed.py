"""The product's application for the public conformance scenarios, which ask for names of their own: each request has our
names in their place, and goes through the routes and the dispatcher of every other. One tool is added, whose schema has
the keywords that a scenario looks for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import django
import msgspec

django.setup()

from api.mcp.caller import McpCaller  # noqa: E402 — Django's settings come first
from api.mcp.tools import schemas  # noqa: E402
from api.mcp.tools.table import TOOLS  # noqa: E402
from api.mcp.tools.tool import Arguments, Hints, Tool  # noqa: E402
from api.shapes.answers import Told  # noqa: E402
from tests.agents.signed import application as signed  # noqa: E402
from workspaces.models import Role  # noqa: E402

# Files of the test (`test_clients.FILES`) stand for the scenarios' resources.
URIS = {
    "test://static-text": "sync://fixtures/files/static-text.txt",
    "test://static-binary": "sync://fixtures/files/static-binary.png",
    "test://template/123/data": "sync://fixtures/files/template/123.json",
}
# A tool that answers, and one whose call fails, for lack of an argument.
NAMES = {"test_simple_text": "list_connectors", "test_error_handling": "explain_sync_record"}
COMPLETED = {
    "ref": {"type": "ref/resource", "uri": "sync://{dataset}/manifest"},
    "argument": {"name": "dataset", "value": "fix"},
}


class GreetedOut(Told):
    said: str


class address(msgspec.Struct):  # the scenario's name
    street: str = ""
    city: str = ""


class Greet(Arguments):
    """Has a schema with definitions."""

    name: str = ""
    address: address | None = None

    def answer(self, caller: McpCaller) -> Any:
        return {"said": self.name}


GREET = "json_schema_2020_12_tool"
TOOLS[GREET] = Tool(GREET, "Greet", Role.VIEWER, Hints(), Greet, GreetedOut)
_schema_of: Callable[[Any], dict[str, Any]] = schemas.__dict__["type_schema"]


def _name_the_dialect(type_: Any) -> dict[str, Any]:
    told = _schema_of(type_)
    if type_ is Greet:
        told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **told}
    return told


schemas.__dict__["type_schema"] = _name_the_dialect


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = _rename(environ["wsgi.input"].read(length)) if length else b""
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return signed(environ, start)


def _rename(body: bytes) -> bytes:
    message = json.loads(body)
    params = message.get("params") or {}
    for field, names in (("uri", URIS), ("name", NAMES)):
        if params.get(field) in names:
            params[field] = names[params[field]]
    if message.get("method") == "completion/complete":
        params |= COMPLETED
    return json.dumps(message).encode()
