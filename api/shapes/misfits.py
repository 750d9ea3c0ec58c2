"""Says in plain words what does not fit in a body or a query. The library that finds it speaks of Python's types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TIME = "Give an ISO 8601 time such as 2026-12-24T18:00:00Z."
_WHOLE = "Give a whole number."
_NUMBER = "Give a number."
_FLAG = "Give true or false."
_ID = "Give an id such as 0b5c7e1a-2f4d-4c8e-9a51-3d6f0e7b8c92."
_REQUIRED = "This field is required."
_PLAIN = {
    "missing": _REQUIRED,
    "extra_forbidden": "There is no such field.",
    "string_type": "Give text.",
    "string_unicode": "Give text that is Unicode.",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "This number is too large.",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "Give a finite number.",
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "list_type": "Give a list.",
    "dict_type": "Give an object.",
    "mapping_type": "Give an object.",
    "model_type": "Give an object.",
    "model_attributes_type": "Give an object.",
    "none_required": "Give null.",
    "uuid_type": _ID,
    "uuid_parsing": _ID,
    "timezone_aware": "Give the time with its zone, such as 2026-12-24T18:00:00Z.",
}
_CURSOR = "Give `next` of the page before as it came."
# What a pattern of the document means; one that is missing here is told as it stands.
_PATTERNS = {
    r"^[^\x00]*$": "It may not hold a NUL character.",
    r"^[^\x00]+$": "It may not hold a NUL character.",
    r"^[^\x00]*[^\x00\s][^\x00]*$": "Give more than blanks, and no NUL character.",
    r"^[^\x00-\x20\x7f/@?#]+$": "Give a host name or an address alone: no scheme, no path, no blanks.",
    r"^[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9._-])?$": "Begin with a letter or a digit; letters, digits, blanks and"
    " . _ - may follow.",
    r"^\.[^/\x00]{1,30}$": "Give a suffix such as .md.",
    r"^[1-9][0-9]{0,2}$": _CURSOR,
    r"^[0-9]{1,18}$": _CURSOR,
    r"^[A-Za-z0-9_-]+$": _CURSOR,
    r"^[A-Za-z0-9_-]{40,500}$": _CURSOR,
    r"^[A-Za-z0-9_-]{2,8000}$": _CURSOR,
    r"^[0-9]{0,18}$": "Give the id of the last event as it came.",
    r"^[\w.@+-]+$": "Give letters, digits and . @ + - _ alone.",
}


def describe_misfit(error: Mapping[str, Any]) -> str:
    """One sentence on an error as pydantic lists it."""
    kind, about = str(error["type"]), error.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind.startswith(("datetime", "date_", "time_")):
        return _TIME
    if kind in _BOUNDS:
        return _BOUNDS[kind](about)
    return "It does not fit: /api-docs shows what this field takes."


def find_field(location: tuple[Any, ...], *, unknown: bool) -> list[str]:
    """The path of a field, without the names of types, which stand there where a field may be of several.
    `unknown`: the last part is a name that the client made up."""
    parts = [str(part) for part in location]
    last = len(parts) - 1
    return [
        part
        for number, part in enumerate(parts)
        if (unknown and number == last)
        or (number < last and parts[number + 1] == "[key]")
        or not _TYPE.search(part)
    ]


_TYPE = re.compile(
    r"[\[(]|^(?:[A-Z]\w*|str|int|float|bool|list|dict|none|constrained-\w+|is-instance)$"
)


def _items(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _tell_pattern(about: Mapping[str, Any]) -> str:
    pattern = str(about["pattern"])
    return _PATTERNS.get(pattern, f"It must fit the pattern {pattern}")


def _tell_choices(words: str) -> str:
    """From `'a', 'b' or 'c'`."""
    choices = re.findall("'([^']*)'", words)
    return f"Give one of {', '.join(choices) or words}."


def _tell_value(about: Mapping[str, Any]) -> str:
    words = str(about["error"])
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith(".") else ".")


_BOUNDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "string_too_long": lambda about: f"Give at most {_items(about['max_length'], 'character')}.",
    "string_too_short": lambda about: f"Give at least {_items(about['min_length'], 'character')}.",
    "string_pattern_mismatch": _tell_pattern,
    "too_long": lambda about: f"Give at most {_items(about['max_length'], 'item')}.",
    "too_short": lambda about: f"Give at least {_items(about['min_length'], 'item')}.",
    "greater_than": lambda about: f"Give more than {about['gt']}.",
    "greater_than_equal": lambda about: f"Give {about['ge']} or more.",
    "less_than": lambda about: f"Give less than {about['lt']}.",
    "less_than_equal": lambda about: f"Give {about['le']} or less.",
    "literal_error": lambda about: _tell_choices(str(about["expected"])),
    "enum": lambda about: _tell_choices(str(about["expected"])),
    "union_tag_not_found": lambda _about: _REQUIRED,
    "union_tag_invalid": lambda about: _tell_choices(str(about["expected_tags"])),
    "value_error": _tell_value,
    "assertion_error": _tell_value,
}
