"""What belongs to a job of rows alone: which tables, how changes are told, where the rows go."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from syncjobs.order.option import Form, job_option
from syncjobs.order.shared import SharedOrder, SyncMode
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
    guess,
    text_or,
)

DATASET = "dataset"  # the kind of source that a job without a connector has
ROWS, RISKS, DESTINATION = "Rows", "Rows that do not fit", "Destination"
KEY_COLUMNS_MAX = 32  # of an index in PostgreSQL
SECONDS_MAX = 31_536_000
PROPOSED: Mapping[str, Any] = {}  # as a cursor: the one that the source proposes

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
    if words := _find_sliced_cursor(value, value.get("cursor")):
        raise Misfit(words, (*place, "cursor", "param"))


def _find_sliced_cursor(resource: Any, cursor: Any) -> str | None:
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
_KEY = Items(_NAME, most=KEY_COLUMNS_MAX)
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
_ENTITY = Either((_NAME, _TABLE, _RESOURCE_OF_JOB, _FILE), choose=_choose_entity)
_GLOBS = Items(_NAME)
_CHOSEN = KnownWords({"include": _GLOBS, "exclude": _GLOBS})
_LAG = Number(0, SECONDS_MAX, whole=False)


def _check_cursor(value: Mapping[str, Any], place: Place) -> None:
    if value and "field" not in value:
        raise Misfit("needs field", place)
    if "format" in value and "param" not in value:
        raise Misfit("needs param, the parameter that is written so", (*place, "format"))


_CURSOR = text_or(
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


_OVERRIDES = OwnWords(KnownWords({"key": _KEY, "cursor": OrNull(_CURSOR), "columns": _CHOSEN}))
_DESTINATION = KnownWords(
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
        {**_RESOURCE, "key": _KEY, "cursor": _CURSOR}, needs=("path",), also=_check_resource
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


class OnSchemaChange(StrEnum):
    EXTEND = "extend"
    HOLD = "hold"
    IGNORE = "ignore"


class OnRowError(StrEnum):
    QUARANTINE = "quarantine"
    FAIL = "fail"


def _check_key(names: Sequence[str]) -> None:
    _KEY.check(names)
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"has {', '.join(doubles)} twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSelection:
    """Which tables of the source the job takes, and what tells their rows apart and their changes."""

    entity: str | Mapping[str, Any] | None = job_option(
        "Entity",
        "The one table that is taken: {schema, table}, of a REST source {path, records, params, page, next,"
        " slices} or the name of one of the connector's entities, of files {path, format, …}: docs/rows.md.",
        default=None,
        null="those that entities says",
        form=Form.STRUCTURE,
        structure=_ENTITY,
        fixed=True,
        group=ROWS,
    )
    entities: Mapping[str, Any] | None = job_option(
        "Entities",
        "The tables that are taken, by patterns of their names: {include, exclude}, such as {include: [customers,"
        " inv*]}. Each fills a table of its own. With neither entity nor entities: all that the source offers.",
        default=None,
        null="all of them",
        form=Form.STRUCTURE,
        structure=_CHOSEN,
        group=ROWS,
    )
    overrides: Mapping[str, Any] = job_option(
        "Overrides",
        "For some of several tables, by name, another {key, cursor, columns} than the proposed one.",
        default={},
        form=Form.STRUCTURE,
        structure=_OVERRIDES,
        group=ROWS,
        advanced=True,
    )
    columns: Mapping[str, Any] | None = job_option(
        "Columns",
        "Patterns of column names: {include, exclude}, such as {exclude: [card_number]}.",
        default=None,
        null="all of them",
        form=Form.STRUCTURE,
        structure=_CHOSEN,
        group=ROWS,
    )
    key: tuple[str, ...] = job_option(
        "Key",
        "The columns that name a row. Empty: the primary key of the source; a table without one is taken in full"
        " alone.",
        default=(),
        group=ROWS,
        check=_check_key,
        fixed=True,
    )
    cursor: str | Mapping[str, Any] | None = job_option(
        "Cursor",
        "What tells new and changed rows: xmin (tables of PostgreSQL), the name of a column, or {field, lag_s}; of a"
        " REST source {field, param, format, lag_s}. {}: the one that the source proposes.",
        default=PROPOSED,
        null="none, which goes with sync_mode: full alone",
        form=Form.STRUCTURE,
        structure=_CURSOR,
        group=ROWS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRisks:
    """What becomes of a source that changes its shape, and of rows that the table cannot hold."""

    on_schema_change: OnSchemaChange = job_option(
        "When the schema changes",
        "What becomes of a column that the source has added, dropped or given another type.",
        default=OnSchemaChange.EXTEND,
        group=RISKS,
        words={
            OnSchemaChange.EXTEND: "added and wider columns are taken over, dropped ones are kept empty, all else is"
            " held for a person",
            OnSchemaChange.HOLD: "each change is held for a person",
            OnSchemaChange.IGNORE: "the columns that are known are read, and no others",
        },
    )
    on_row_error: OnRowError = job_option(
        "Rows that do not fit",
        "What becomes of a row that the table cannot hold.",
        default=OnRowError.QUARANTINE,
        group=RISKS,
        words={
            OnRowError.QUARANTINE: "it is kept apart, with its reason, and the rest goes on",
            OnRowError.FAIL: "the record fails and nothing of the table changes",
        },
    )
    row_errors_max_share: float = job_option(
        "Largest share of such rows",
        "Where more of the rows than this share do not fit, the record fails.",
        default=0.01,
        least=0,
        most=1,
        group=RISKS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrder:
    """The part of an order that only a job of rows has."""

    selection: RowSelection
    risks: RowRisks
    destination: Mapping[str, Any] | None = job_option(
        "Destination",
        "Where the rows go: {connector, schema, table, adopt}, with a connector of kind sql that is writable. adopt:"
        " true takes a table that no job made.",
        default=None,
        null="the product's own database",
        form=Form.STRUCTURE,
        structure=_DESTINATION,
        fixed=True,
        attribute="written_destination",
        group=DESTINATION,
    )

    def find_conflicts(
        self, shared: SharedOrder, kind: str, resources: Collection[str]
    ) -> dict[Place, str]:
        """Options that do not go together, or not with the kind of the connector, which has these resources: each
        with the place and what is wrong."""
        foreign = _iter_foreign(self.selection, kind, resources)
        return dict([*foreign, *self._iter_conflicts(shared)])

    def _iter_conflicts(self, shared: SharedOrder) -> Iterator[tuple[Place, str]]:
        chosen = self.selection
        full = shared.sync_mode == SyncMode.FULL
        if chosen.entity is not None and chosen.entities is not None:
            yield (("entities",), "entity names one table, and entities several: give one of them")
        if chosen.entity is not None and chosen.overrides:
            words = "entity names one table: key, cursor and columns say it for that"
            yield (("overrides",), words)
        if chosen.cursor is None and not full:
            yield (("cursor",), _NEEDS_FULL)
        for name, override in chosen.overrides.items():
            if "cursor" in override and override["cursor"] is None and not full:
                yield (("overrides", name, "cursor"), _NEEDS_FULL)
        excluded = set((chosen.columns or {}).get("exclude", ())) & {*chosen.key}
        if excluded:
            yield (("columns", "exclude"), f"{', '.join(sorted(excluded))} is of the key")
        if chosen.entity is None and "table" in (self.destination or {}):
            words = "the job takes several tables, each of which has its own name: give entity too"
            yield (("destination", "table"), words)


def _iter_foreign(
    chosen: RowSelection, kind: str, resources: Collection[str]
) -> Iterator[tuple[Place, str]]:
    """What another kind of source takes."""
    match chosen.entity:
        case None:
            pass
        case str() as name if kind == "rest":
            if name not in resources:
                hint = guess(name, [*resources], "it has") if resources else "it has none"
                yield (("entity",), f"the connector has no entity {name!r}; {hint}")
        case {"path": _} if kind == "rest" and "format" not in chosen.entity:
            pass
        case {"table": _} if kind == "sql":
            pass
        case {"path": _} | {"format": _} if kind == DATASET:
            pass
        case _:
            words = _TAKEN_BY[kind]
            yield (("entity",), words)
    if refusal := _find_sliced_cursor(chosen.entity, chosen.cursor):
        yield (("cursor", "param"), refusal)
    yield from _iter_foreign_cursor(chosen.cursor, kind)


def _iter_foreign_cursor(cursor: Any, kind: str) -> Iterator[tuple[Place, str]]:
    if kind == DATASET and cursor not in (None, PROPOSED):
        yield (("cursor",), "files have none: each reading of them is whole")
    if kind == "sql" and isinstance(cursor, Mapping):
        for word in ("param", "format"):
            if word in cursor:
                yield (("cursor", word), "is for connectors of kind rest")


_TAKEN_BY = {
    DATASET: "a dataset of files takes {path, format, …}",
    "sql": "a connector of kind sql takes {schema, table}",
    "rest": "a connector of kind rest takes {path, records, params, page, next, slices}, or the name of one of its"
    " entities",
}
_NEEDS_FULL = (
    "without a cursor nothing tells new rows from old ones: that goes with sync_mode: full"
)
