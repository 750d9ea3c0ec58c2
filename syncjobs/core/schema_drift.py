"""Decides what a table's columns become when the source's columns are others than at the last publication.

A column that was added is added, one whose type holds more is widened, one that was dropped is kept. Whatever else
changed waits for a person, who has three offers: the column is rebuilt with the new type, the values go into a new
column, or the sync stops.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from farends.rows.contract import Column
from farends.rows.inference import is_widened

_TYPE = re.compile(
    r"(?P<title>[^(]+?)(?:\((?P<first>\d+)(?:,(?P<second>-?\d+))?\))?(?P<rest> [a-z ]+)?\Z"
)
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_WHOLE = ("smallint", "integer", "bigint")
_TEXTS = ("character", "character varying", "text")
_TIMES = (
    "time without time zone", "time with time zone", "timestamp without time zone",
    "timestamp with time zone", "interval",
)  # fmt: skip
_PRECISION_MAX = 6  # of a time that names none
_ENDLESS = 1 << 30


class SchemaOffer(StrEnum):
    REBUILD = "rebuild"  # the column gets the new type, and all rows are read again
    NEW_COLUMN = "new_column"  # the values go into another column, the old one stays
    STOP = "stop"  # nothing is written, and the record fails


class DriftKind(StrEnum):
    ADDED = "added"
    DROPPED = "dropped"
    WIDENED = "widened"
    CHANGED = "changed"


class ColumnStep(StrEnum):
    """What becomes of the relation's column."""

    KEEP = "keep"
    ADD = "add"
    WIDEN = "widen"
    REBUILD = "rebuild"


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column as the source has it; `type` is the PostgreSQL type that holds it exactly."""

    source_name: str
    source_type: str
    type: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """A column of the relation that came from the source. `current`: the source had it at the last publication."""

    source_name: str
    name: str
    type: str
    current: bool = True
    source_type: str = ""


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A column that is read, and where its values go: `name` is the relation's, `type` what it has afterwards,
    `was` what it has now (None: there is none)."""

    source: SourceColumn
    step: ColumnStep
    name: str | None  # None: still to be named
    type: str
    was: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    column: str
    kind: DriftKind
    type_then: str | None
    type_now: str | None
    offers: tuple[SchemaOffer, ...] = ()

    def to_json(self, table: str) -> dict[str, Any]:
        return {
            "table": table,
            "column": self.column,
            "change": self.kind.value,
            "from": self.type_then,
            "to": self.type_now,
            "offers": [offer.value for offer in self.offers],
        }


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """`waits`: a person must decide before anything is written. `dropped` are the relation's columns that the source
    no longer has."""

    columns: tuple[PlannedColumn, ...]
    drifts: tuple[ColumnDrift, ...]
    dropped: tuple[str, ...] = ()
    waits: bool = False

    @property
    def alters(self) -> bool:
        return any(column.step is not ColumnStep.KEEP for column in self.columns)


def plan_schema(
    known: Sequence[KnownColumn],
    found: Sequence[SourceColumn],
    *,
    holds: bool = False,
    only_known: bool = False,
    answer: str | None = None,
) -> SchemaPlan:
    """`holds`: every change waits for a person; `only_known`: no other columns are read; `answer`: what a person chose.

    `known` is empty where the table was never published: then all columns are new, and nothing drifted."""
    if not known:
        return SchemaPlan(tuple(_add(column) for column in found), ())
    held = {column.source_name: column for column in sorted(known, key=lambda one: one.current)}
    if only_known:
        found = [column for column in found if _is_held(held.get(column.source_name))]
    columns, drifts = [], []
    for column in found:
        planned, drift = _plan_column(held.get(column.source_name), column, answer)
        columns.append(planned)
        if drift is not None:
            drifts.append(drift)
    there = {column.source_name for column in found}
    gone = [one for one in held.values() if one.current and one.source_name not in there]
    drifts += [ColumnDrift(one.source_name, DriftKind.DROPPED, one.type, None) for one in gone]
    return SchemaPlan(
        tuple(columns),
        tuple(drifts),
        tuple(one.name for one in gone),
        _waits(drifts, holds, answer),
    )


def _waits(drifts: Collection[ColumnDrift], holds: bool, answer: str | None) -> bool:
    if answer is not None:
        return False
    return (holds and bool(drifts)) or any(drift.kind is DriftKind.CHANGED for drift in drifts)


def _is_held(known: KnownColumn | None) -> bool:
    return known is not None and known.current


def _add(column: SourceColumn) -> PlannedColumn:
    return PlannedColumn(column, ColumnStep.ADD, None, column.type)


def _plan_column(
    known: KnownColumn | None, column: SourceColumn, answer: str | None
) -> tuple[PlannedColumn, ColumnDrift | None]:
    if known is None:
        return _add(column), ColumnDrift(column.source_name, DriftKind.ADDED, None, column.type)
    came_back = (
        None
        if known.current
        else ColumnDrift(column.source_name, DriftKind.ADDED, None, column.type)
    )
    if is_wider(known.type, column.type):  # it holds every value of the new type already
        kept = PlannedColumn(column, ColumnStep.KEEP, known.name, known.type, known.type)
        return kept, came_back
    if is_wider(column.type, known.type) or is_widened(
        Column(known.source_name, known.source_type, known.type),
        Column(column.source_name, column.source_type, column.type),
    ):
        wide = PlannedColumn(column, ColumnStep.WIDEN, known.name, column.type, known.type)
        return wide, ColumnDrift(column.source_name, DriftKind.WIDENED, known.type, column.type)
    changed = ColumnDrift(
        column.source_name, DriftKind.CHANGED, known.type, column.type, tuple(SchemaOffer)
    )
    if answer == SchemaOffer.NEW_COLUMN:
        return _add(column), changed
    return (
        PlannedColumn(column, ColumnStep.REBUILD, known.name, column.type, known.type),
        changed,
    )


def is_wider(wide: str, narrow: str) -> bool:
    """Whether each value of type `narrow` is exact in `wide`, and PostgreSQL casts it by itself."""
    if wide == narrow:
        return True
    if wide.endswith("[]") and narrow.endswith("[]"):
        return is_wider(wide[:-2], narrow[:-2])
    to, of = _parse(wide), _parse(narrow)
    if to is None or of is None:
        return False
    return (
        _is_wider_number(to, of)
        or _is_wider_text(to, of)
        or (to.title == of.title == "bit varying" and to.size >= of.size)
        or (to.title == of.title and to.title in _TIMES and to.precision >= of.precision)
    )


@dataclass(frozen=True, slots=True)
class _Parsed:
    title: str
    first: int | None
    second: int | None

    @property
    def size(self) -> int:
        """Characters or bits; those of a type that names none are endless."""
        return _ENDLESS if self.first is None else self.first

    @property
    def precision(self) -> int:
        return _PRECISION_MAX if self.first is None else self.first

    @property
    def scale(self) -> int:
        return self.second or 0


def _parse(text: str) -> _Parsed | None:
    match = _TYPE.match(text)
    if match is None:
        return None
    first, second = match["first"], match["second"]
    title = match["title"] + (match["rest"] or "")
    return _Parsed(
        title, None if first is None else int(first), None if second is None else int(second)
    )


def _is_wider_number(to: _Parsed, of: _Parsed) -> bool:
    if of.title in _WHOLE:
        if to.title in _WHOLE:
            return _WHOLE.index(to.title) > _WHOLE.index(of.title)
        return to.title == "numeric" and (
            to.first is None or to.first - to.scale >= _DIGITS[of.title]
        )
    if of.title == to.title == "numeric":
        if to.first is None or of.first is None:
            return to.first is None
        return to.scale >= of.scale and to.first - to.scale >= of.first - of.scale
    return (of.title, to.title) == ("real", "double precision")


def _is_wider_text(to: _Parsed, of: _Parsed) -> bool:
    if of.title not in _TEXTS or to.title not in _TEXTS:
        return False
    if to.title == "character" and of.title != "character":
        return False
    of_size = 1 if of.title == "character" and of.first is None else of.size
    return to.size >= of_size
