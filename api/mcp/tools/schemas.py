"""What a tool takes and gives, as JSON Schema."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from django_mcpz.schemas import type_schema
from pydantic import AwareDatetime, BaseModel, Field

from api.mcp.tools.tool import Tool
from api.shapes.answers import Told

_LAST = ("limit", "cursor", "plan_token")  # of the arguments


class PlannedOut(Told):
    """What the call would do. Nothing was changed yet."""

    state: Literal["planned"]
    effects: list[str] = Field(description="What would happen, in one sentence each.")
    plan_token: str = Field(
        description="Call again with the same arguments and this to act, once. It serves this token alone."
    )
    expires_at: AwareDatetime


class FailureOut(Told):
    """Why the call failed."""

    code: str
    detail: str = Field(description="What is wrong, and what to do.")
    errors: dict[str, list[str]] = Field(description="By argument, what is wrong with it.")
    retry_after_s: int | None = Field(description="When to try again; null: nobody can say.")


class FailedOut(Told):
    error: FailureOut


def describe_tool(tool: Tool) -> dict[str, Any]:
    """As `tools/list` tells it."""
    hints = tool.hints
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": describe_arguments(tool),
        "outputSchema": describe_answer(tool),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": not hints.writes,
            "destructiveHint": hints.destroys,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
    }


@cache
def describe_arguments(tool: Tool) -> dict[str, Any]:
    schema = {**type_schema(tool.arguments), "additionalProperties": False}
    told = schema.get("properties", {})
    own = {name: told[name] for name in told if name not in _LAST}
    schema["properties"] = own | {name: told[name] for name in _LAST if name in told}
    schema.pop("description", None)  # it is the tool's
    found: dict[str, Any] = _without_titles(schema)
    return found


@cache
def describe_answer(tool: Tool) -> dict[str, Any]:
    """One object, as clients want it: with the fields of each answer that there can be, failures too, and which of them come
    together."""
    shapes: list[type[BaseModel]] = [
        *([PlannedOut] if tool.is_planned else []),
        tool.answer,
        FailedOut,
    ]
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    variants = []
    for shape in shapes:
        told = _without_titles(shape.model_json_schema(mode="serialization"))
        definitions |= told.get("$defs", {})
        own = told["properties"]
        variant: dict[str, Any] = {"required": _required(shape)}
        if "const" in own.get("state", {}):
            state = own.pop("state")
            variant["properties"] = {"state": {"const": state["const"]}}
            words = properties.setdefault("state", {"type": "string", "enum": []})
            words["enum"].append(state["const"])
        properties |= own
        variants.append(variant)
    schema = {"type": "object", "properties": properties, "anyOf": variants}
    if definitions:
        schema["$defs"] = definitions
    return {**schema, "additionalProperties": False}


def _required(shape: type[BaseModel]) -> list[str]:
    """A field with a default is left out where there is nothing to tell."""
    return [name for name, field in shape.model_fields.items() if field.is_required()]


def _without_titles(schema: Any) -> Any:
    """Titles repeat the names."""
    if isinstance(schema, dict):
        return {
            name: _without_titles(value)
            for name, value in schema.items()
            if not (name == "title" and isinstance(value, str))
        }
    return [_without_titles(one) for one in schema] if isinstance(schema, list) else schema
