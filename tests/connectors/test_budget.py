"""What a host is asked to bear, by rules that know no clock and no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from farends.budget import (
    FAILURES_OPEN,
    HOLD_MAX_S,
    HOLD_S,
    LEARNED_MAX,
    OPEN_MAX_S,
    OPEN_S,
    RELEARN,
    Budget,
    after_answer,
    after_complaint,
    after_silence,
    decide_call,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def silent(times: int) -> tuple[Budget, datetime]:
    """After so many failures in a row, each at the first moment at which a call is allowed."""
    budget, now = Budget(), NOW
    for _ in range(times):
        now = max(now, budget.opened_until or now)
        budget = after_silence(budget, now, "no answer")
    return budget, now


def test_the_circuit_opens_after_failures_in_a_row_and_for_longer_each_time() -> None:
    before, _ = silent(FAILURES_OPEN - 1)
    assert decide_call(before, NOW, address="h:22", running=3) is None
    opened, now = silent(FAILURES_OPEN)
    obstacle = decide_call(opened, now, address="h:22", running=0)
    assert obstacle is not None
    assert obstacle.until == now + timedelta(seconds=OPEN_S)
    again, now = silent(FAILURES_OPEN + 1)
    assert again.opened_until == now + timedelta(seconds=2 * OPEN_S)
    long, now = silent(99)
    assert long.opened_until == now + timedelta(seconds=OPEN_MAX_S)


def test_after_the_pause_one_record_tries_and_its_answer_lets_all_through() -> None:
    opened, now = silent(FAILURES_OPEN)
    then = now + timedelta(seconds=OPEN_S)
    assert decide_call(opened, then, address="h:22", running=0) is None
    assert decide_call(opened, then, address="h:22", running=1) is not None
    closed = after_answer(opened, then)
    assert closed == Budget()
    assert decide_call(closed, then, address="h:22", running=1) is None


def test_records_that_were_under_way_when_the_circuit_opened_do_not_lengthen_it() -> None:
    opened, now = silent(FAILURES_OPEN)
    late = after_silence(opened, now + timedelta(seconds=1), "cut")
    assert (late.failures, late.opened_until) == (opened.failures, opened.opened_until)


def test_a_host_that_has_enough_is_left_alone_and_then_asked_for_less() -> None:
    budget = after_complaint(Budget(), NOW, "429", retry_after_s=None, running=4)
    assert (budget.max_running, budget.hold_until) == (3, later(HOLD_S))
    assert decide_call(budget, NOW, address="h:22", running=0) is not None
    assert decide_call(budget, later(HOLD_S), address="h:22", running=2) is None
    assert decide_call(budget, later(HOLD_S), address="h:22", running=3) is not None


def test_retry_after_is_obeyed_and_capped_and_the_longer_of_two_stays() -> None:
    long = after_complaint(Budget(), NOW, "429", retry_after_s=1e9, running=1)
    assert (long.hold_until, long.max_running) == (later(HOLD_MAX_S), 1)
    short = after_complaint(long, NOW, "429", retry_after_s=5, running=1)
    assert short.hold_until == long.hold_until


def test_what_was_learned_is_unlearned_step_by_step() -> None:
    budget = after_complaint(Budget(), NOW, "421", retry_after_s=0, running=3)
    assert after_answer(budget, NOW).max_running == 2
    now = NOW
    for _ in range(LEARNED_MAX):
        now += RELEARN
        budget = after_answer(budget, now)
    assert budget.max_running is None
