"""What is staged of one table, in values: for which record, on which terms, how far the reading came."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from datasets.tables.place import RESERVED
from farends.rows.contract import Column
from farends.rows.names import make_names

PLACE_KEY = ("_path", "_line")  # names a row of a file without a key
CONTENT_KEY = (
    "_row",
)  # names a row that has neither: its content, and the how-manieth of its like it is


@dataclass(frozen=True, slots=True)
class StagedColumn:
    """A column as it is staged: `name` is the staging's, which the relation's need not be."""

    source_name: str
    source_type: str
    type: str
    name: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class StagedReading:
    """What is staged: for which record, on which terms, and how far the reading came.

    `mark` is where the next reading begins. `segment` counts passes over the source: of two rows of one key the later
    segment's is the newer one (a lasting table has no column for it until there is a second). `rows` counts those of the table, all segments together.
    """

    record_id: str
    terms: dict[str, Any]
    columns: tuple[StagedColumn, ...]
    key: tuple[str, ...]  # source names; empty: rows are named by their place or content
    mark: dict[str, Any] | None = None
    full: bool = False
    finished: bool = False
    resume: Any | None = None
    segment: int = 0
    rows: int = 0
    failed: int = 0
    nulled: int = 0
    without_cursor: int = 0
    duplicates: int = 0
    by_place: bool = False
    lasting: bool = False  # the staged table may become the relation

    @property
    def key_names(self) -> tuple[str, ...]:
        """The key's columns, by their names in the staging."""
        if not self.key:
            return PLACE_KEY if self.by_place else CONTENT_KEY
        named = {column.source_name: column.name for column in self.columns}
        return tuple(named[name] for name in self.key)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> StagedReading:
        columns = tuple(StagedColumn(**column) for column in given["columns"])
        return cls(**given | {"columns": columns, "key": tuple(given["key"])})


def stage_columns(columns: Iterable[Column]) -> tuple[StagedColumn, ...]:
    """Names for the columns of a reading."""
    columns = list(columns)
    names = make_names([column.name for column in columns], RESERVED)
    return tuple(
        StagedColumn(
            column.name, column.source_type, column.type, names[column.name], column.nullable
        )
        for column in columns
    )
