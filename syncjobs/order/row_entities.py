"""The tables of a source in the words of a job: of a database, of an API with its pages and slices, of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from syncjobs.order.structures import (
    Either,
    Flag,
    Items,
    KnownWords,
    Misfit,
    Number,
    OrNull,
    OwnWords,
    Place,
    Structure,
    Words,
    text_or,
)

KEY_COLUMNS_MAX = 32  # of an index in PostgreSQL
SECONDS_MAX = 31_536_000

_SEGMENT = r"(?:[^.\[\]\x00]+(?:\[-?\d+\])*|(?:\[-?\d+\])+)"
BODY_PATH = Words(pattern=rf"{_SEGMENT}(?:\.{_SEGMENT})*", example="data[-1].id")
_RECORDS = Words(least=0, pattern=rf"(?:{BODY_PATH.pattern})?", example="data.items")
_PARAMETER = Words(most=200)
_NAME = Words()
_PAGERS = {"cursor": ("param", "more"), "url": (), "link": (), "page": ("start", "pages")}
_PAGERS |= {"offset": ("total",)}


def _check_next(value: Mapping[str, Any], place: Place) -> None:
    named = [pager for pager in _PAGERS if pager in value]
    if len(named) != 1:
        words = f"has {' and '.join(named)}" if named else "has none of them"
        raise Misfit(f"needs exactly one of {', '.join(_PAGERS)}, and {words}", place)
    (pager,) = named
    for name in value:
        if name != pager and name not in _PAGERS[pager]:
            raise Misfit(f"{name} does not go with {pager}", (*place, name))
    if pager == "cursor" and "param" not in value:
        raise Misfit("needs param, the parameter that takes the cursor", place)


_SCALAR = Either(
    (Words(least=0), Number(-(1 << 53), 1 << 53, whole=False), Flag()),
    choose=lambda value: (
        Flag()
        if isinstance(value, bool)
        else Number(-(1 << 53), 1 << 53, whole=False)
        if isinstance(value, int | float)
        else Words(least=0)
    ),
)
_NEXT = KnownWords(
    {
        "cursor": BODY_PATH,
        "param": _PARAMETER,
        "more": BODY_PATH,
        "url": BODY_PATH,
        "link": Words(most=100),
        "page": _PARAMETER,
        "start": Number(0, 1_000_000),
        "pages": BODY_PATH,
        "offset": _PARAMETER,
        "total": BODY_PATH,
    },
    also=_check_next,
)


def _check_slices(value: Mapping[str, Any], place: Place) -> None:
    is_values = "values" in value
    needs: tuple[str, ...] = _VALUE_WORDS if is_values else _WINDOW_WORDS
    kind = "values" if is_values else "windows of time"
    for name in value:
        if name not in needs and (is_values or name != "format"):
            raise Misfit(f"{name} does not go with {kind}", (*place, name))
    if missing := [name for name in needs if name not in value]:
        raise Misfit(f"needs {' and '.join(missing)}", place)
    if is_values:
        _check_values(value["values"], (*place, "values"))
    else:
        _check_windows(value, place)


def _check_values(values: Sequence[Any], place: Place) -> None:
    if not values:
        raise Misfit("must not be empty", place)
    written = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    if doubles := sorted({text for text in written if written.count(text) > 1}):
        raise Misfit(f"has {doubles[0][:60]!r} twice", place)


def _check_windows(value: Mapping[str, Any], place: Place) -> None:
    if value["from"] == value["to"]:
        raise Misfit("needs another parameter than from", (*place, "to"))
    try:
        datetime.fromisoformat(value["start"])
    except ValueError:
        raise Misfit("is no day of the calendar", (*place, "start")) from None


def _check_resource(value: Mapping[str, Any], place: Place) -> None:
    """A parameter that two would write."""
    slices = value.get("slices", {})
    sliced = {slices[name] for name in ("param", "from", "to") if name in slices}
    page = value.get("page", {}).get("param")
    following = value.get("next", {})
    others = {page, *(following.get(name) for name in ("param", "page", "offset"))}
    for name in sorted(sliced):
        if name in value.get("params", {}):
            raise Misfit(f"slices writes the parameter {name}", (*place, "params", name))
        if name in others:
            raise Misfit(f"the pages write the parameter {name}", (*place, "slices"))
    if words := find_sliced_cursor(value, value.get("cursor")):
        raise Misfit(words, (*place, "cursor", "param"))


def find_sliced_cursor(resource: Any, cursor: Any) -> str | None:
    """A cursor may begin windows, and write no other parameter of slices."""
    if not isinstance(resource, Mapping) or not isinstance(cursor, Mapping):
        return None
    slices, param = resource.get("slices", {}), cursor.get("param")
    if param is not None and param in (slices.get("param"), slices.get("to")):
        return f"slices writes the parameter {param}"
    return None


_VALUE_WORDS = ("param", "values")
_WINDOW_WORDS = ("from", "to", "start", "step_s")
_SLICES = KnownWords(
    {
        "param": _PARAMETER,
        "values": Items(_SCALAR),
        "from": _PARAMETER,
        "to": _PARAMETER,
        "start": Words(
            pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?",
            example="2024-01-01 or 2024-01-01T00:00:00Z",
        ),
        "step_s": Number(60, SECONDS_MAX * 10),
        "format": Words(known=("iso8601", "epoch", "epoch_ms")),
    },
    also=_check_slices,
)
_RESOURCE: dict[str, Structure] = {
    "path": Words(pattern=r"[^\x00-\x20\x7f#]+", example="/customers"),
    "records": _RECORDS,
    "params": OwnWords(_SCALAR, most=100),
    "page": KnownWords(
        {"param": _PARAMETER, "size": Number(1, 1_000_000)},
        needs=("param", "size"),
    ),
    "next": _NEXT,
    "slices": _SLICES,
}
KEY_COLUMNS = Items(_NAME, most=KEY_COLUMNS_MAX)
_TABLE = KnownWords({"schema": Words(most=200), "table": _NAME}, needs=("table",))
_RESOURCE_OF_JOB = KnownWords(_RESOURCE, needs=("path",), also=_check_resource)


def _check_file(value: Mapping[str, Any], place: Place) -> None:
    if value["format"] == "xlsx":
        foreign = [name for name in ("delimiter", "quote", "encoding") if name in value]
    else:
        foreign = [name for name in ("sheet",) if name in value]
    if value["format"] in ("jsonl", "parquet"):
        foreign = [name for name in _OF_TEXT if name in value]
    if foreign:
        raise Misfit(f"{foreign[0]} does not go with {value['format']}", (*place, foreign[0]))


_OF_TEXT = ("delimiter", "quote", "header", "sheet", "encoding")
_FILE = KnownWords(
    {
        "path": _NAME,
        "format": Words(known=("csv", "jsonl", "parquet", "xlsx")),
        "delimiter": Words(most=1),
        "quote": Words(least=0, most=1),
        "header": Flag(),
        "nulls": Items(Words(least=0), most=100),
        "sheet": _NAME,
        "types": OwnWords(Words(most=200)),
        "encoding": Words(most=40),
    },
    needs=("format",),
    also=_check_file,
)
_ENTITY_WORDS = KnownWords({**_TABLE.words, **_RESOURCE, **_FILE.words})


def _choose_entity(value: Any) -> Structure:
    if isinstance(value, str):
        return _NAME
    if not isinstance(value, Mapping):
        return _ENTITY_WORDS
    if "format" in value:
        return _FILE
    if "table" in value or "schema" in value:
        return _TABLE
    return _RESOURCE_OF_JOB if "path" in value else _UNKNOWN_ENTITY


def _refuse_entity(value: Mapping[str, Any], place: Place) -> None:
    raise Misfit("needs table, or path, or format", place)


_UNKNOWN_ENTITY = KnownWords(_ENTITY_WORDS.words, also=_refuse_entity)
ENTITY = Either((_NAME, _TABLE, _RESOURCE_OF_JOB, _FILE), choose=_choose_entity)
_GLOBS = Items(_NAME)
CHOSEN_NAMES = KnownWords({"include": _GLOBS, "exclude": _GLOBS})
_LAG = Number(0, SECONDS_MAX, whole=False)


def _check_cursor(value: Mapping[str, Any], place: Place) -> None:
    if value and "field" not in value:
        raise Misfit("needs field", place)
    if "format" in value and "param" not in value:
        raise Misfit("needs param, the parameter that is written so", (*place, "format"))


ROW_CURSOR = text_or(
    KnownWords(
        {
            "field": BODY_PATH,
            "param": _PARAMETER,
            "format": Words(known=("iso8601", "epoch", "epoch_ms", "text")),
            "lag_s": _LAG,
        },
        also=_check_cursor,
    ),
    _NAME,
)


OVERRIDES = OwnWords(
    KnownWords({"key": KEY_COLUMNS, "cursor": OrNull(ROW_CURSOR), "columns": CHOSEN_NAMES})
)
DESTINATION_WORDS = KnownWords(
    {
        "connector": Words(most=100),
        "schema": Words(most=63),
        "table": Words(most=63),
        "adopt": Flag(),
    },
    needs=("connector",),
)
# Of a connector of kind rest: its resources by name, each with its key.
RESOURCES = OwnWords(
    KnownWords(
        {**_RESOURCE, "key": KEY_COLUMNS, "cursor": ROW_CURSOR},
        needs=("path",),
        also=_check_resource,
    ),
    most=1_000,
)


def read_table(entity: Any) -> Any:
    """The entity with what `table` says of the schema in its place: `{table: public.orders}` is split at the first
    dot. What names no table stays as it is."""
    if not isinstance(entity, Mapping) or "table" not in entity or "schema" in entity:
        return entity
    schema, dot, table = str(entity["table"]).partition(".")
    return {"schema": schema, "table": table} if dot and schema and table else dict(entity)


def find_table(entity: Any) -> str | None:
    """The name of the table that the entity names, without its schema; None where it names none."""
    read = read_table(entity)
    return read.get("table") if isinstance(read, Mapping) else None
