"""A row's key as people and programs write it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from datasets.tables.as_of import Key


class InvalidKey(ValueError):
    """What was given is no key of the table; the message says how one is written."""


def read_key(columns: Sequence[str], given: Sequence[str]) -> Key:
    """Reads `{"id": "5"}`, or one text for each column of the key: `id:5`, or `5` alone, in the key's order. JSON means the
    same for every value; the others are for people. Raises InvalidKey."""
    if len(given) == 1 and (named := _read_object(given[0])) is not None:
        values = named
    else:
        values = _read_texts(columns, given)
    if sorted(values) != sorted(columns):
        raise InvalidKey(_how_to(columns))
    key = tuple(values[name] for name in columns)
    if not all(_can_be_stored(value) for value in key):
        raise InvalidKey("no key holds NUL or half a character")
    return key


def _read_object(text: str) -> dict[str, str] | None:
    try:
        found = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }


def _read_texts(columns: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    if len(given) != len(columns):
        raise InvalidKey(_how_to(columns))
    pairs = dict(text.partition(":")[::2] for text in given)
    if sorted(pairs) == sorted(columns) and all(":" in text for text in given):
        return pairs
    return dict(zip(columns, given, strict=True))


def _can_be_stored(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _how_to(columns: Sequence[str]) -> str:
    example = json.dumps(dict.fromkeys(columns, "…"), ensure_ascii=False)
    return f"give the whole key, such as {example}"
