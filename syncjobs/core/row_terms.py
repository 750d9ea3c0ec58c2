"""What a person approves with a plan of rows, for each of its tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PLAN_DRIFTED = "plan_drifted"


@dataclass(frozen=True, slots=True)
class RowTerms:
    """The plan of one table is applied only where all of it still holds.

    `digest` is one value for the table's columns afterwards, and for what would be done with which row; `version` the one
    that changed the table last, None where none did.
    """

    digest: str
    version: int | None
    added: int
    changed: int
    removed: int

    def describe(self) -> str:
        version = f"version {self.version}" if self.version else "no version"
        counts = f"{self.added} added, {self.changed} changed, {self.removed} removed"
        return f"{counts} of {version}"


class RowsDrifted(Exception):
    """The approved plan is not what would be done with the table now. `drift` has both, as far as they are known."""

    def __init__(self, table: str, reason: str, drift: dict[str, Any]) -> None:
        super().__init__(reason)
        self.drift = {"name": table, "reason": reason} | drift


def confirm_terms(table: str, approved: RowTerms, now: RowTerms) -> None:
    """Raises RowsDrifted."""
    if now == approved:
        return
    was, is_now = approved.describe(), now.describe()
    differs = (
        f"the plan had rows {was}; now they are {is_now}"
        if was != is_now
        else f"as many rows would be written ({was}), and not the same ones"
    )
    reason = (
        f"{table} is not as it was approved: {differs}. Nothing of it was written; make a new plan"
    )
    raise RowsDrifted(table, reason, {"then": asdict(approved), "now": asdict(now)})
