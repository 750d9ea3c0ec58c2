"""Which PostgreSQL type holds every value of a column that only has texts: JSON and CSV. Pure.

Types only ever widen, so that a column whose first rows held integers takes the decimals that come later:

    null < bigint < numeric < text
    null < double precision < numeric        only where every value is written with an exponent
    null < date < timestamp < timestamptz < text
    null < boolean < text
    null < jsonb < text                      objects and arrays

Each type holds its values exactly: digits that a type would round make the wider one. (true and 1 in one
column are text, because as numbers nobody could tell them apart.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from enum import StrEnum
from functools import lru_cache, reduce

from farends.rows.contract import Column


class ValueType(StrEnum):
    """Each but NULL is a type as `format_type` writes it."""

    NULL = "null"  # no value was seen: such a column is text, and may become anything
    BOOLEAN = "boolean"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    DOUBLE = "double precision"
    DATE = "date"
    TIMESTAMP = "timestamp without time zone"
    TIMESTAMPTZ = "timestamp with time zone"
    JSONB = "jsonb"
    TEXT = "text"


_WIDER: Mapping[ValueType, tuple[ValueType, ...]] = {
    ValueType.BIGINT: (ValueType.NUMERIC,),
    ValueType.DOUBLE: (ValueType.NUMERIC,),
    ValueType.NUMERIC: (),
    ValueType.DATE: (ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ),
    ValueType.TIMESTAMP: (ValueType.TIMESTAMPTZ,),
    ValueType.TIMESTAMPTZ: (),
    ValueType.BOOLEAN: (),
    ValueType.JSONB: (),
}
# What a value becomes by a cast is what the wider type makes of its text.
_KEEPING = frozenset(
    {
        (ValueType.BIGINT, ValueType.NUMERIC),
        (ValueType.BIGINT, ValueType.TEXT),
        (ValueType.DATE, ValueType.TIMESTAMP),
        (ValueType.DATE, ValueType.TIMESTAMPTZ),
        (ValueType.DATE, ValueType.TEXT),
        (ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ),
    }
)
_WORDS: Mapping[ValueType, str] = {  # as JSON calls them
    ValueType.NULL: "null",
    ValueType.BOOLEAN: "boolean",
    ValueType.BIGINT: "integer",
    ValueType.NUMERIC: "number",
    ValueType.DOUBLE: "number",
    ValueType.JSONB: "object",
}
# Those that no database has a type of: whoever has it has learned it.
_LEARNED = frozenset({"string", "number"})

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*+)", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?+(?:[eE]([+-]?[0-9]++))?+", re.ASCII)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6}0*+)?+)?+"
    r"(Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?+)?+)?+",
    re.ASCII,
)
_BIGINT_DIGITS = 18  # so many always fit
_BIGINT_MAX = (1 << 63) - 1
_DOUBLE_DIGITS, _DOUBLE_LEAST = 17, 2.3e-308
# Of PostgreSQL's numeric: digits before and after the point, and an exponent that stays far from both ends.
_NUMERIC_DIGITS, _NUMERIC_SCALE, _NUMERIC_EXPONENT = 100_000, 16_000, 9_999


def widen(one: ValueType, other: ValueType) -> ValueType:
    """The narrowest type that holds the values of both."""
    if one is other or other is ValueType.NULL:
        return one
    if one is ValueType.NULL:
        return other
    above_one = (one, *_WIDER.get(one, ()))
    above_other = (other, *_WIDER.get(other, ()))
    return next((kind for kind in above_one if kind in above_other), ValueType.TEXT)


def keeps_text(narrow: ValueType, wide: ValueType) -> bool:
    """Whether values that were stored as the narrow type, once cast, equal what the wide type makes of the
    source's text. If not, who has stored some must read them again: 1E5 would be 100000."""
    return narrow is wide or narrow is ValueType.NULL or (narrow, wide) in _KEEPING


def classify_number(text: str) -> ValueType:
    """Of a number as JSON writes it; TEXT for any other text, and for numbers that PostgreSQL does not hold."""
    if _INTEGER.fullmatch(text):
        if len(text) <= _BIGINT_DIGITS:
            return ValueType.BIGINT
        if len(text) > _NUMERIC_DIGITS:
            return ValueType.TEXT
        # Python refuses to read integers of more than 4300 digits.
        small = len(text) <= _BIGINT_DIGITS + 2 and -_BIGINT_MAX - 1 <= int(text) <= _BIGINT_MAX
        return ValueType.BIGINT if small else ValueType.NUMERIC
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _NUMERIC_DIGITS or len(found[1] or "") > _NUMERIC_SCALE:
        return ValueType.TEXT
    return ValueType.NUMERIC if found[2] is None else _classify_exponent(text, found[2])


def _classify_exponent(text: str, exponent: str) -> ValueType:
    if len(exponent) > 5 or abs(int(exponent)) > _NUMERIC_EXPONENT:
        return ValueType.TEXT
    mantissa = re.split("[eE]", text)[0].lstrip("-").replace(".", "").strip("0")
    if len(mantissa) > _DOUBLE_DIGITS:
        return ValueType.NUMERIC
    value = abs(float(text))
    fits = value < float("inf") and (value >= _DOUBLE_LEAST or not mantissa)
    return ValueType.DOUBLE if fits else ValueType.NUMERIC


def classify_string(text: str) -> ValueType:
    """Of a JSON string: a time by ISO 8601 where it is one that PostgreSQL holds exactly, else TEXT."""
    if len(text) < 10 or text[4] != "-" or text[7] != "-":  # most texts, at little cost
        return ValueType.TEXT
    found = _TIME.fullmatch(text)
    if found is None or not is_day(text[:10]):
        return ValueType.TEXT
    if len(text) == 10:
        return ValueType.DATE
    return ValueType.TIMESTAMP if found[1] is None else ValueType.TIMESTAMPTZ


@lru_cache(4096)
def is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def classify_text(text: str) -> ValueType:
    """Of a cell that has no type of its own, such as CSV's. 007 and +1 stay text: a number would lose signs."""
    if text[:1] in "-0123456789":
        kind = classify_number(text)
        return kind if kind is not ValueType.TEXT else classify_string(text)
    return ValueType.BOOLEAN if text in _BOOLEANS else ValueType.TEXT


_BOOLEANS = frozenset({"true", "false", "True", "False", "TRUE", "FALSE"})


def make_column(name: str, kind: ValueType) -> Column:
    """Where every value was NULL the column is text, and its `source_type` says so."""
    shown = ValueType.TEXT if kind is ValueType.NULL else kind
    return Column(name, _WORDS.get(kind, "string"), shown.value)


def type_of(column: Column) -> ValueType | None:
    """What `make_column` was given; None where the type is none of these, so a person has chosen it."""
    if column.source_type == ValueType.NULL:
        return ValueType.NULL
    try:
        return ValueType(column.type)
    except ValueError:
        return None


def join_columns(known: Iterable[Column], found: Iterable[Column]) -> tuple[Column, ...]:
    """What a table has, and what was found now: each column as wide as both need, new ones behind. A type that
    was learned from some values says nothing against a wider one that others needed before."""
    joined = {column.name: column for column in known}
    for column in found:
        joined[column.name] = (
            _join(joined[column.name], column) if column.name in joined else column
        )
    return tuple(joined.values())


def is_widened(known: Column, found: Column) -> bool:
    """Whether a column whose types were learned holds what it held before, and more. To become text is no such case:
    it is another column then, in all but its name."""
    if known.source_type == ValueType.NULL:  # there are no values
        return True
    if not {known.source_type, found.source_type} <= _LEARNED:
        return False
    before, now = type_of(known), type_of(found)
    if before is None or now is None or now is ValueType.TEXT:
        return False
    return widen(before, now) is now


def _join(known: Column, found: Column) -> Column:
    kinds = [kind for kind in (type_of(known), type_of(found)) if kind is not None]
    if len(kinds) < 2:  # chosen by a person
        return known
    return replace(make_column(known.name, reduce(widen, kinds)), nullable=known.nullable)
