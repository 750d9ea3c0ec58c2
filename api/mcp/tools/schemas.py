"""What a tool takes and gives, as JSON Schema, and its answers as JSON."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
from django.core.serializers.json import DjangoJSONEncoder
from django_mcpz.schemas import type_schema
from pydantic import BaseModel

from api.mcp.tools.tool import Answer, Tool


def describe_tool(tool: Tool) -> dict[str, Any]:
    """As `tools/list` tells it."""
    hints = tool.hints
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": _input_schema(tool.arguments),
        "outputSchema": _output_schema(tool.answer),
        "annotations": {
            "title": tool.title,
            "readOnlyHint": not hints.writes,
            "destructiveHint": hints.destroys,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
    }


def encode_result(answer: Answer, value: Any) -> bytes:
    """The value as JSON, as the shape has it. Raises where it does not fit: a fault of ours."""
    if isinstance(answer, dict):
        told = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"))
        return told.encode()
    if issubclass(answer, BaseModel):
        return answer.model_validate(value).model_dump_json().encode()
    return msgspec.json.encode(msgspec.convert(value, answer) if isinstance(value, dict) else value)


@cache
def _input_schema(arguments: Any) -> dict[str, Any]:
    schema = {**type_schema(arguments), "additionalProperties": False}
    schema.setdefault("properties", {})
    schema.pop("title", None)
    return schema


def _output_schema(answer: Answer) -> dict[str, Any]:
    return answer if isinstance(answer, dict) else _made_schema(answer)


@cache
def _made_schema(answer: Any) -> dict[str, Any]:
    """The root says `type: object`, as MCP wants it."""
    if issubclass(answer, BaseModel):
        schema = answer.model_json_schema(mode="serialization")
    else:
        schema = type_schema(answer)
    return {"type": "object", **schema}
