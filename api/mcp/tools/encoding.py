"""Answers of tools as JSON, of a bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from pydantic import BaseModel

from api.mcp.tools.tool import Tool, ToolFailed, ToolList

BYTES_MAX = 100_000
_TEXT_MAX = 1_000  # characters of one text, where an item must become shorter
_ADDRESSES = {"next", "uri", "path", "plan_token"}  # no part of one is of use


def encode_told(tool: Tool, told: Any) -> bytes:
    """As the tool's shape has it. Of a list, as many items as there is room for. Raises ToolFailed."""
    if isinstance(told, ToolList):
        return _encode_list(tool.answer, told)
    return _encode(_shape(tool.answer, told))


def encode_planned(shape: type[BaseModel], told: Any) -> bytes:
    return _encode(_shape(shape, told))


def size_of(value: Any) -> int:
    """Of plain values, in bytes of JSON."""
    return len(_dump(value))


def _encode_list(shape: type[BaseModel], told: ToolList) -> bytes:
    count = len(told.items)
    while True:
        plain = _shape(shape, _first(told, count))
        if told.next_if_cut and plain["next"] is None:
            del plain["next"]
        encoded = _dump(plain)
        if len(encoded) <= BYTES_MAX:
            return encoded
        if count <= 1:
            return _encode(plain)
        count = max(1, min(count - 1, count * BYTES_MAX // len(encoded)))


def _first(told: ToolList, count: int) -> dict[str, Any]:
    following = told.next if count == len(told.items) else told.cursor_behind(count - 1)
    return {**told.beside, told.under: told.items[:count], "next": following}


def _encode(plain: Any) -> bytes:
    """Long texts and lists become shorter where it must be. Raises ToolFailed."""
    while len(encoded := _dump(plain)) > BYTES_MAX:
        if not _shorten(plain):
            words = f"The answer has more than {BYTES_MAX // 1000} kB: ask for less."
            raise ToolFailed("unavailable", words)
    return encoded


def _shorten(plain: Any) -> bool:
    """Halves the longest text, or where no text is long, the longest list; False where there is nothing to halve."""
    texts, lists = [], []
    for holder, place in _iter_places(plain):
        value = holder[place]
        if isinstance(value, str) and len(value) > _TEXT_MAX and place not in _ADDRESSES:
            texts.append((len(value), holder, place))
        elif isinstance(value, list) and len(value) > 1:
            lists.append((len(value), holder, place))
    for found, mark in ((texts, "…"), (lists, [])):
        if found:
            length, holder, place = max(found, key=lambda one: one[0])
            holder[place] = holder[place][: length // 2] + mark
            return True
    return False


def _iter_places(plain: Any) -> Iterator[tuple[Any, Any]]:
    places = plain.items() if isinstance(plain, dict) else enumerate(plain)
    for place, value in places:
        yield plain, place
        if isinstance(value, dict | list):
            yield from _iter_places(value)


def _shape(shape: type[BaseModel], told: Any) -> Any:
    """Plain values. Raises where the value does not fill the shape: a fault of ours."""
    return shape.model_validate(told).model_dump()


def _dump(plain: Any) -> bytes:
    """Times are written as REST writes them."""
    return json.dumps(
        plain, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":")
    ).encode()
