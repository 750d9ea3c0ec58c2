"""Rows are guarded by share."""

from __future__ import annotations

import pytest

from syncjobs.core.row_guards import RowCounts, RowRule, RowWaiver, exceeds_share, judge_rows


def judge(held: int, removed: int, *, read: int = 1, looked: bool = True) -> RowRule | None:
    found = judge_rows(RowCounts(held, read, removed=removed, looked_for_gone=looked))
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("held", "removed", "rule"),
    [
        (1_000_000, 10_000, None),  # 1 % of many
        (1_000_000, 100_000, None),
        (1_000_000, 100_001, RowRule.MASS_REMOVAL),
        (100, 49, None),
        (100, 50, RowRule.MASS_REMOVAL),
        (500, 50, None),
    ],
)
def test_more_than_a_tenth_and_fifty_rows_are_held(
    held: int, removed: int, rule: RowRule | None
) -> None:
    assert judge(held, removed) == rule


def test_an_empty_source_is_held_however_small_the_table() -> None:
    assert judge(1, 1, read=0) == RowRule.EMPTY_SOURCE
    assert judge(0, 0, read=0) is None


def test_a_reading_that_does_not_look_for_deleted_rows_removes_none() -> None:
    assert judge(100, 90, looked=False) is None


def test_a_waiver_covers_its_own_rule_up_to_what_was_shown() -> None:
    counts = RowCounts(100, 40, removed=60, looked_for_gone=True)
    assert judge_rows(counts, RowWaiver("mass_removal", 60)) is None
    assert judge_rows(counts, RowWaiver("mass_removal", 59)) is not None
    assert judge_rows(counts, RowWaiver("empty_source", 60)) is not None


def test_a_share_is_exceeded_by_more_than_it() -> None:
    assert not exceeds_share(1, 100, 0.01)
    assert exceeds_share(2, 100, 0.01)
    assert exceeds_share(1, 100, 0)
