"""Guards of rows: what must not be published before a person has looked at it.

Rows are guarded by share: a fixed number, as files have it, would hold 1 % of a million rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncjobs.core.plans import REMOVED_SHARE_MAX

REMOVED_ROWS_MIN = 50  # fewer rows are no sign of anything


class RowRule(StrEnum):
    EMPTY_SOURCE = "empty_source"
    MASS_REMOVAL = "mass_removal"
    SCHEMA_CHANGE = "schema_change"
    DUPLICATE_KEY = "duplicate_key"
    CONSTRAINT = "constraint"


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What a publication would do to one table. `table_rows` counts what the table holds now, `read` what the source
    gave. `looked_for_gone`: rows that the source no longer has were looked for."""

    table_rows: int
    read: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    looked_for_gone: bool = False


@dataclass(frozen=True, slots=True)
class RowWaiver:
    """What a person released for one table: this rule, up to so many rows. A source that has lost more since is held
    again."""

    rule: str
    removed: int

    def covers(self, rule: str, removed: int) -> bool:
        return rule == self.rule and removed <= self.removed


def judge_rows(counts: RowCounts, waiver: RowWaiver | None = None) -> tuple[RowRule, str] | None:
    """The guard that stops this publication and its reason, or None."""
    found = _judge(counts)
    if found is None or (waiver is not None and waiver.covers(found[0], counts.removed)):
        return None
    return found


def _judge(counts: RowCounts) -> tuple[RowRule, str] | None:
    if not counts.looked_for_gone or counts.removed == 0:
        return None
    if counts.read == 0:
        return RowRule.EMPTY_SOURCE, (
            f"the source has no rows, the table holds {counts.table_rows}: an emptied source looks"
            " like this"
        )
    if (
        counts.removed >= REMOVED_ROWS_MIN
        and counts.removed > counts.table_rows * REMOVED_SHARE_MAX
    ):
        return RowRule.MASS_REMOVAL, (
            f"{counts.removed} of {counts.table_rows} rows would be removed, more than"
            f" {REMOVED_SHARE_MAX:.0%}"
        )
    return None


def exceeds_share(failed: int, read: int, share_max: float) -> bool:
    """Whether more rows could not be loaded than the job allows."""
    return failed > read * share_max
