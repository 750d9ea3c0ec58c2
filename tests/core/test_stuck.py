"""The rules of stuck records, deadlines and expected durations, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncjobs.core.deadlines import DeadlineRule, Past, decide_deadline_s, expect_s
from syncjobs.core.states import Stage
from syncjobs.core.stuck import (
    Limits,
    Rule,
    Signs,
    StallRule,
    SweepRule,
    decide_hold,
    find_stuck,
    plan_sweep,
)

FIT = Signs(
    stage=Stage.PROCESSING_FILES,
    lease_ran_out_s=-15,
    heartbeat_s=3,
    progress_s=500,
    worked_s=200,
    deadline_s=300,
    cancel_asked_s=None,
)
LIMITS = Limits(StallRule())
RULE = DeadlineRule()


def rule_of(signs: Signs, limits: Limits = LIMITS) -> Rule | None:
    found = find_stuck(signs, limits)
    return found.rule if found else None


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({}, None),
        ({"progress_s": 614}, None),  # its worker comes first
        ({"progress_s": 616}, Rule.NO_PROGRESS),
        ({"progress_s": 900, "stage": Stage.FINALIZING}, None),
        ({"progress_s": 1216, "stage": Stage.FINALIZING}, Rule.NO_PROGRESS),
        ({"progress_s": 3000, "patience_s": 3600}, None),
        ({"progress_s": 3676, "patience_s": 3600}, Rule.NO_PROGRESS),
        ({"progress_s": None}, None),
        ({"worked_s": 314}, None),
        ({"worked_s": 316}, Rule.DEADLINE),
        ({"deadline_s": None, "worked_s": 99_999}, None),
        ({"cancel_asked_s": 5}, None),
        ({"cancel_asked_s": 7}, Rule.CANCEL_UNANSWERED),
        ({"lease_ran_out_s": 0.1}, Rule.LEASE_EXPIRED),
        ({"lease_ran_out_s": 1, "progress_s": 9_999, "worked_s": 9_999}, Rule.LEASE_EXPIRED),
        ({"progress_s": 9_999, "worked_s": 9_999, "cancel_asked_s": 99}, Rule.NO_PROGRESS),
        ({"heartbeat_s": -4, "lease_ran_out_s": -24}, None),
        ({"heartbeat_s": -3600, "lease_ran_out_s": -3620}, Rule.LEASE_EXPIRED),
    ],
)
def test_the_first_rule_that_finds_a_record_judges_it(
    changed: dict[str, object], rule: Rule | None
) -> None:
    assert rule_of(replace(FIT, **changed)) == rule  # type: ignore[arg-type]


def test_only_the_rules_that_are_asked_for_are_applied() -> None:
    dead = replace(FIT, lease_ran_out_s=99, cancel_asked_s=7)
    found = find_stuck(dead, LIMITS, (Rule.CANCEL_UNANSWERED,))
    assert found is not None
    assert found.rule is Rule.CANCEL_UNANSWERED
    assert found.limit_s == LIMITS.cancel_s
    assert rule_of(dead, replace(LIMITS, lease_grace_s=100)) is Rule.CANCEL_UNANSWERED


NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since_s", "holds"), [(None, False), (5, False), (14, False), (15, True), (-1, True)]
)
def test_a_gap_between_sweeps_or_a_clock_that_jumps_holds_them_back(
    since_s: float | None, holds: bool
) -> None:
    rule = plan_sweep(lease_s=20, heartbeat_s=5, interval_s=5)
    last = None if since_s is None else NOW - timedelta(seconds=since_s)
    assert decide_hold(rule, last, NOW) == (NOW + timedelta(seconds=20) if holds else None)


def test_sweeps_that_are_far_apart_do_not_hold_each_other_back() -> None:
    """A sweep each five minutes."""
    rule = plan_sweep(lease_s=20, heartbeat_s=5, interval_s=300)
    assert rule == SweepRule(600, 20)
    assert decide_hold(rule, NOW - timedelta(seconds=310), NOW) is None


def past(*durations: float, files: int = 10) -> list[Past]:
    return [Past(duration, files) for duration in durations]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"files": 0}, 300),
        ({"files": 10}, 400),
        ({"files": 10, "looked_s": 100}, 500),
        ({"files": None}, 7200),
        ({"files": None, "spent_s": 7000}, 200),
        ({"files": 10, "spent_s": 6000}, 400),
        ({"files": 10, "spent_s": 7000}, 200),
        ({"files": 10, "spent_s": 8000}, 0),
        ({"files": 10, "past": past(900, 1000, 1100)}, 3300),
        ({"files": 10, "past": past(900, 1000, 4000)}, 7200),
        ({"files": 10, "past": past(900, 1000)}, 400),  # no history yet
        ({"files": 10, "past": past(1, 1, 1)}, 400),  # never shorter than the formula
        ({"files": 10, "own_s": 60}, 60),
        ({"files": 10, "own_s": 60, "past": past(900, 1000, 1100)}, 60),
        ({"files": 10, "own_s": 99_999}, 99_999),
        ({"files": 10, "own_s": 60, "spent_s": 45}, 15),
    ],
)
def test_the_deadline_grows_with_history_up_to_the_cap(
    given: dict[str, object], expected: float
) -> None:
    assert decide_deadline_s(RULE, **given) == expected  # type: ignore[arg-type]


def test_one_slow_record_among_many_does_not_stretch_the_deadline() -> None:
    assert decide_deadline_s(RULE, 10, past=past(*[200] * 19, 2000)) == 600


@pytest.mark.parametrize(
    ("files", "history", "expected"),
    [
        (10, past(5, 6), None),  # no history tells it, and the timeout is no forecast
        (None, past(5, 6, 7), 6),
        (10, past(5, 6, 7), 6),
        (2, past(5, 6, 7), 6),
        (21, past(5, 6, 7), 12),
        (10**6, past(5, 6, 7), 7200),  # not more than the formula
        (10**6, past(9000, 9001, 9002), 9001),  # but never less than usual
    ],
)
def test_what_is_expected_is_usual_scaled_by_the_plan(
    files: int | None, history: list[Past], expected: float | None
) -> None:
    assert expect_s(RULE, files, history) == expected
