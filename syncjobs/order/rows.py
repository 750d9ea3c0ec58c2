"""What belongs to a job of rows alone: which tables, how changes are told, where the rows go."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from syncjobs.order.option import Form, job_option
from syncjobs.order.row_entities import (
    CHOSEN_NAMES,
    DESTINATION_WORDS,
    ENTITY,
    KEY_COLUMNS,
    OVERRIDES,
    ROW_CURSOR,
    find_sliced_cursor,
)
from syncjobs.order.shared import SharedOrder, SyncMode
from syncjobs.order.structures import Place, guess

DATASET = "dataset"  # the kind of source that a job without a connector has
ROWS, RISKS, DESTINATION = "Rows", "Rows that do not fit", "Destination"
PROPOSED: Mapping[str, Any] = {}  # as a cursor: the one that the source proposes


class OnSchemaChange(StrEnum):
    EXTEND = "extend"
    HOLD = "hold"
    IGNORE = "ignore"


class OnRowError(StrEnum):
    QUARANTINE = "quarantine"
    FAIL = "fail"


def _check_key(names: Sequence[str]) -> None:
    KEY_COLUMNS.check(names)
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
        structure=ENTITY,
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
        structure=CHOSEN_NAMES,
        group=ROWS,
    )
    overrides: Mapping[str, Any] = job_option(
        "Overrides",
        "For some of several tables, by name, another {key, cursor, columns} than the proposed one.",
        default={},
        form=Form.STRUCTURE,
        structure=OVERRIDES,
        group=ROWS,
        advanced=True,
    )
    columns: Mapping[str, Any] | None = job_option(
        "Columns",
        "Patterns of column names: {include, exclude}, such as {exclude: [card_number]}.",
        default=None,
        null="all of them",
        form=Form.STRUCTURE,
        structure=CHOSEN_NAMES,
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
        structure=ROW_CURSOR,
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
        structure=DESTINATION_WORDS,
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
    if refusal := find_sliced_cursor(chosen.entity, chosen.cursor):
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
