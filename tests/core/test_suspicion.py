"""What is so unusual that people should look, and what is only noise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from syncjobs.core.suspicion import Amounts, find_suspicion


def words(now: Amounts, past: Sequence[Amounts]) -> str:
    return find_suspicion(now, past, noun="files")


def counts(*values: int) -> list[Amounts]:
    return [Amounts(value, 0) for value in values]


def sizes(*values: int) -> list[Amounts]:
    return [Amounts(0, value) for value in values]


def durations(*values: float) -> list[Amounts]:
    return [Amounts(0, 0, value) for value in values]


@pytest.mark.parametrize(
    ("count", "is_suspect"),
    [(0, True), (3, True), (4, False), (30, False), (45, False), (46, True)],
)
def test_a_third_and_three_times_of_what_is_usual_bound_the_files(
    count: int, is_suspect: bool
) -> None:
    past = counts(10, 11, 12, 13, 15)
    expected = f"unusual for this job: {count} files, where 10 to 15 is usual" if is_suspect else ""
    assert words(Amounts(count, 0), past) == expected


def test_one_odd_record_of_twenty_decides_nothing() -> None:
    past = counts(*[10] * 19, 1000)
    assert words(Amounts(31, 0), past) == "unusual for this job: 31 files, where 10 is usual"


def test_fewer_than_five_successes_are_no_history() -> None:
    assert words(Amounts(0, 0), counts(10, 10, 10, 10)) == ""


def test_nothing_is_suspect_where_mostly_something_came() -> None:
    assert words(Amounts(0, 0), counts(0, 0, 3, 3, 3)) != ""
    assert words(Amounts(0, 0), counts(0, 0, 0, 3, 3)) == ""


def test_a_source_that_seldom_changes_is_not_suspect_when_it_does() -> None:
    assert words(Amounts(7, 1_000_000), counts(0, 0, 0, 0, 0, 0)) == ""


def test_sizes_count_from_where_they_mean_something() -> None:
    assert words(Amounts(0, 200), sizes(10, 10, 12, 14, 16)) == ""
    assert words(Amounts(0, 400), sizes(10, 10, 12, 14, 16)) != ""
    assert words(Amounts(0, 100), sizes(*[50_000] * 5)) == (
        "unusual for this job: 100 bytes, where 50,000 is usual"
    )


def test_durations_below_ten_seconds_are_noise() -> None:
    assert words(Amounts(0, 0, 9.0), durations(0.2, 0.3, 0.2, 0.3, 0.4)) == ""
    assert words(Amounts(0, 0, 11.0), durations(0.2, 0.3, 0.2, 0.3, 0.4)) != ""
    assert words(Amounts(0, 0, 0.2), durations(1.0, 2.0, 2.0, 8.0, 9.0)) == ""
    assert words(Amounts(0, 0, 3.0), durations(60.0, 60.0, 62.0, 65.0, 65.0)) == (
        "unusual for this job: 3 s, where 60 to 65 is usual"
    )


def test_a_record_that_waited_in_between_is_not_judged_by_its_duration() -> None:
    past = durations(60.0, 60.0, 62.0, 65.0, 65.0)
    assert words(Amounts(0, 0, None), past) == ""
    assert words(Amounts(0, 0, 3.0), [*past[1:], Amounts(0, 0, None)]) == ""


def test_all_that_is_unusual_is_told() -> None:
    past = [Amounts(5, 50_000, 60.0)] * 5
    told = find_suspicion(Amounts(0, 0, 3.0), past, noun="rows")
    assert told == (
        "unusual for this job: 0 rows, where 5 is usual; 0 bytes, where 50,000 is usual;"
        " 3 s, where 60 is usual"
    )
