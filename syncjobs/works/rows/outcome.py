"""How one table of a record ended, in the words of the record's `tables`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from syncjobs.core.row_guards import RowRule
from syncjobs.core.row_terms import RowTerms


class TableState(StrEnum):
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # published without rows that could not be loaded
    HELD = "held"
    FAILED = "failed"
    PLANNED = "planned"  # of a dry run


PUBLISHED = frozenset({TableState.SUCCEEDED, TableState.PARTIAL})


@dataclass(frozen=True, slots=True)
class RowTally:
    """Counts of a record or of one of its tables, by the names of the record's columns."""

    rows_read: int = 0
    rows_added: int = 0
    rows_changed: int = 0
    rows_removed: int = 0
    rows_unchanged: int = 0
    rows_failed: int = 0
    rows_without_cursor: int = 0
    rows_duplicate: int = 0
    values_nulled: int = 0

    def plus(self, other: RowTally) -> RowTally:
        return RowTally(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(RowTally))
        )


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """`held` says what a person must look at, as the record's own `held` does."""

    name: str
    state: TableState
    tally: RowTally = field(default_factory=RowTally)
    dataset_version: int | None = None
    error_code: str = ""
    error: str = ""
    held: dict[str, Any] | None = None
    cursor_column: str = ""
    mark: dict[str, Any] | None = None
    warning: str = ""
    sample: dict[str, list[dict[str, str | None]]] | None = None  # of a dry run: keys by change
    drift: dict[str, Any] | None = None  # how it differs from the approved plan
    terms: RowTerms | None = None  # of a dry run, for the record's plan

    def to_json(self) -> dict[str, Any]:
        told = asdict(self)
        tally = told.pop("tally")
        del told["terms"]
        return {**told, **tally, "state": self.state.value}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> TableOutcome:
        own = {one.name for one in fields(cls)} - {"tally", "terms"}
        counted = {one.name: given.get(one.name) or 0 for one in fields(RowTally)}
        kept = {name: value for name, value in given.items() if name in own}
        return cls(**kept | {"state": TableState(given["state"]), "tally": RowTally(**counted)})


def sum_up(outcomes: Iterable[TableOutcome]) -> RowTally:
    total = RowTally()
    for outcome in outcomes:
        total = total.plus(outcome.tally)
    return total


def has_published(tables: Iterable[dict[str, Any]] | None) -> bool:
    """Whether one of a record's `tables` became a version."""
    return any(one["state"] in PUBLISHED for one in tables or ())


class RowsHeld(Exception):
    """What was read must not be published before a person has looked at it."""

    def __init__(
        self,
        rule: RowRule,
        reason: str,
        *,
        removed: int = 0,
        table_rows: int = 0,
        sample_keys: Iterable[dict[str, str | None]] = (),
        schema_changes: Iterable[dict[str, Any]] = (),
        tally: RowTally | None = None,
    ) -> None:
        super().__init__(reason)
        self.rule = rule
        self.tally = tally or RowTally()
        self.held: dict[str, Any] = {
            "rule": rule.value,
            "reason": reason,
            "removed": removed,
            "table_rows": table_rows,
            "sample_keys": list(sample_keys),
            "schema_changes": list(schema_changes),
        }
