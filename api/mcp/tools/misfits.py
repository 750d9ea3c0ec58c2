"""Says which argument does not fit, and of a word that is not to choose, which ones are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from api.mcp.tools.tool import Arguments, ToolFailed, bad_argument

_WORDS_MAX = 200  # a client may have given a name of any length
_CHOICES_MAX = 50
_PLACE = re.compile(r"^(?P<words>.*?)(?: - at `\$\.?(?P<field>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(
    r"unknown field `(?P<name>[^`]*)`|missing required field `(?P<lacking>[^`]*)`"
)
_NO_CHOICE = "Invalid enum value"
_STEP = re.compile(r"[^.\[\]]+")


def explain_misfit(exc: msgspec.ValidationError, arguments: type[Arguments]) -> ToolFailed:
    """msgspec says: Expected `int`, got `str` - at `$.limit`."""
    found = _PLACE.match(str(exc))
    words, field = (found["words"], found["field"]) if found else (str(exc), None)
    if (named := _UNKNOWN.search(words)) is not None:
        field = ".".join(filter(None, [field, named["name"] or named["lacking"]]))
    words, field = words[:_WORDS_MAX], (field or "arguments")[:_WORDS_MAX]
    if words.startswith(_NO_CHOICE) and (choices := _list_choices(arguments, field)):
        words += f": give one of {', '.join(choices[:_CHOICES_MAX])}"
    return bad_argument(field, words)


def _list_choices(arguments: type[Arguments], field: str) -> list[str]:
    """What may stand at a place such as `where[0].op`."""
    types: list[inspect.Type] = [inspect.type_info(arguments)]
    for step in _STEP.findall(field):
        types = [inner for each in types for inner in _enter(each, step)]
    return [choice for each in types for choice in _choices_of(each)]


def _enter(outer: inspect.Type, step: str) -> Iterator[inspect.Type]:
    for each in _branches_of(outer):
        if isinstance(each, inspect.StructType):
            yield from (field.type for field in each.fields if field.encode_name == step)
        elif isinstance(each, inspect.ListType):
            yield each.item_type


def _choices_of(found: inspect.Type) -> Iterator[str]:
    for each in _branches_of(found):
        if isinstance(each, inspect.EnumType):
            yield from (str(member.value) for member in each.cls)
        elif isinstance(each, inspect.LiteralType):
            yield from map(str, each.values)


def _branches_of(found: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(found, inspect.Metadata):
        yield from _branches_of(found.type)
    elif isinstance(found, inspect.UnionType):
        for each in found.types:
            yield from _branches_of(each)
    else:
        yield found
