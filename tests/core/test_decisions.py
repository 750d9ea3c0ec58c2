from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncjobs.core.comparing import (
    Comparison,
    FarClock,
    Fingerprint,
    decide_equal,
    far_clock,
    is_ahead,
    is_settled,
    is_settling,
    is_stable,
    proves_equal,
)
from syncjobs.core.deadlines import DeadlineRule, decide_deadline_s
from syncjobs.core.plans import Plan, judge
from syncjobs.core.retries import (
    ATTEMPTS_MAX,
    CEILING_S,
    decide_crash,
    decide_patience,
    decide_pause,
    decide_retry,
    tries_until,
)

S = 1_000_000_000


def at(seconds: int) -> FarClock:
    return far_clock(seconds * S, 0.0, 0.0)


def plan(*, listed: int = 100, held: int = 100, removed: int = 0) -> Plan:
    return Plan(listed, held, 0, 0, removed, held - removed, 0, 0)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (plan(), None),
        (plan(listed=0, removed=100), "empty_listing"),
        (plan(listed=90, removed=10), None),
        (plan(listed=89, removed=11), "mass_removal"),
        (plan(listed=99_000, held=100_000, removed=1_000), None),
        (plan(listed=98_999, held=100_000, removed=1_001), "mass_removal"),
        (plan(listed=0, held=0), None),
    ],
)
def test_guards(given: Plan, rule: str | None) -> None:
    held = judge(given, listing_complete=True, removals_apply=True)
    assert (held and held.rule) == rule


def test_nothing_is_guarded_where_nothing_would_be_removed() -> None:
    emptied = plan(listed=0, removed=100)
    assert judge(emptied, listing_complete=False, removals_apply=True) is None
    assert judge(emptied, listing_complete=True, removals_apply=False) is None


@pytest.mark.parametrize(("files", "expected"), [(0, 300), (10, 400), (690, 7200), (9_999, 7200)])
def test_the_deadline_follows_the_seed_document(files: int, expected: float) -> None:
    assert decide_deadline_s(DeadlineRule(), files) == expected
    assert decide_deadline_s(DeadlineRule(), files, own_s=60) == 60


def test_retries_end_with_the_attempts_and_never_follow_a_permanent_error() -> None:
    last = decide_retry(retryable=True, attempt=3, vain=3, max_attempts=3, share=0.5)
    permanent = decide_retry(retryable=False, attempt=1, vain=1, max_attempts=3, share=0.5)
    assert last.delay_s is None
    assert permanent.delay_s is None


def test_attempts_that_got_further_use_up_nothing_but_the_last_of_all() -> None:
    def delay(attempt: int, vain: int) -> float | None:
        return decide_retry(
            retryable=True, attempt=attempt, vain=vain, max_attempts=3, share=1.0
        ).delay_s

    assert delay(50, 0) == 5.0
    assert delay(50, 2) == 10.0
    assert delay(50, 3) is None
    assert delay(ATTEMPTS_MAX, 0) is None


def test_backoff_is_between_half_and_all_of_a_growing_ceiling() -> None:
    def delay(vain: int, share: float, after: float | None = None) -> float | None:
        return decide_retry(
            retryable=True,
            attempt=vain,
            vain=vain,
            max_attempts=99,
            share=share,
            retry_after_s=after,
        ).delay_s

    assert delay(1, 0.0) == 2.5
    assert delay(2, 0.0) == delay(1, 1.0) == 5.0
    assert delay(2, 1.0) == 10.0
    assert delay(50, 1.0) == CEILING_S
    assert delay(1, 1.0, after=120) == 120
    assert delay(1, 1.0, after=1e9) == 86_400


def test_item_02_tries_for_which_only_time_helps_end_with_the_time() -> None:
    def delay(tries: int, left_s: float, after: float | None = None) -> float | None:
        return decide_patience(tries=tries, left_s=left_s, share=0.0, retry_after_s=after).delay_s

    pauses = [delay(tries, 1e6) for tries in range(1, 10)]
    assert pauses == [2.5, 5, 10, 20, 40, 80, 160, 320, 450]
    assert delay(10_000, 1e6) == 450
    assert delay(4, 8) == 7  # once more before the end
    assert delay(1, 1e6, after=60) == 60
    assert delay(1, 10, after=60) == 9
    assert (delay(1, 1), delay(1, -5)) == (None, None)


def test_item_02_the_time_ends_with_what_comes_first() -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def until(fire_s: int | None = None, late_s: int | None = None) -> float:
        fire = None if fire_s is None else now + timedelta(seconds=fire_s)
        due = now - timedelta(seconds=100)
        ends = tries_until(now, due_at=due, next_fire=fire, max_lateness_s=late_s)
        return (ends - now).total_seconds()

    assert until() == 86_400
    assert until(fire_s=3_600) == 3_600
    assert until(fire_s=200_000) == 86_400
    assert until(fire_s=3_600, late_s=600) == 500
    assert until(late_s=60) == -40


def test_the_third_crash_quarantines() -> None:
    assert decide_crash(crashes=1, share=0.5).delay_s == 0
    assert decide_crash(crashes=2, share=0.5).delay_s == 5
    assert decide_crash(crashes=3, share=0.5).delay_s is None


def test_a_job_pauses_after_failures_in_a_row_and_at_once_after_a_deadly_record() -> None:
    def pause(failures: int, most: int | None, *, deadly: bool = False) -> str:
        return decide_pause(failures=failures, most=most, deadly=deadly, last_error="no such root")

    assert pause(4, 5) == ""
    assert pause(5, 5) == "5 records in a row failed; the last: no such root"
    assert pause(1, 5, deadly=True)
    assert pause(99, None, deadly=True) == ""


@pytest.mark.parametrize(
    ("listed", "held", "equal"),
    [
        (Fingerprint(1, 5 * S, None), Fingerprint(1, 5 * S, None), True),
        (Fingerprint(1, 5 * S, None), Fingerprint(1, 5 * S + 7, None), True),
        (Fingerprint(1, 5 * S, None), Fingerprint(2, 5 * S, None), False),
        (Fingerprint(1, 6 * S, None), Fingerprint(1, 5 * S, None), False),
        (Fingerprint(1, None, None), Fingerprint(1, None, None), False),
        (Fingerprint(None, 5 * S, None), Fingerprint(1, 5 * S, None), False),
        (Fingerprint(1, 5 * S, "a"), Fingerprint(1, 5 * S, "b"), False),
        (Fingerprint(1, 6 * S, "a"), Fingerprint(1, 5 * S, "a"), True),
        (Fingerprint(2, 5 * S, "a"), Fingerprint(1, 5 * S, "a"), False),
    ],
)
def test_what_proves_that_a_file_is_the_held_one(
    listed: Fingerprint, held: Fingerprint, equal: bool
) -> None:
    assert proves_equal(listed, held, S) is equal


def test_a_file_as_young_as_the_clocks_precision_is_not_settled() -> None:
    assert is_settled(10 * S, at(13), S)
    assert not is_settled(10 * S, at(12), S)
    assert not is_settled(20 * S, at(12), S)  # from the future: it may be written at that time
    assert not is_settled(None, at(12), S)


def test_young_is_by_the_far_ends_clock() -> None:
    """A host an hour behind stamps its newest file an hour ago; one ahead, in our future."""
    behind, ahead = (far_clock(7200 * S, skew, 1.0) for skew in (-3600, 3600))
    assert not is_settled(3600 * S, behind, S)
    assert is_settled(3590 * S, behind, S)
    assert not is_settled(10800 * S, ahead, S)
    assert is_settled(10790 * S, ahead, S)
    assert is_settling(3600 * S, behind, S, 60)
    assert not is_settling(3500 * S, behind, S, 60)
    assert is_settling(10800 * S, ahead, S, 60)
    assert not is_settling(10700 * S, ahead, S, 60)


def test_what_the_measured_skew_may_be_wrong_by_counts_against_it() -> None:
    assert not is_settled(10 * S, far_clock(13 * S, 0.0, 1.0), S)
    assert is_settled(10 * S, far_clock(13 * S, 0.0, 0.5), S)
    assert not is_ahead(13 * S, far_clock(10 * S, 0.0, 1.0), S)
    assert is_ahead(13 * S, far_clock(10 * S, 0.0, 0.5), S)


def test_a_time_in_the_far_ends_future_is_neither_settled_nor_settling() -> None:
    known, unknown = far_clock(0, 0.0, 1.0), far_clock(0, None, 1.0)
    year, hour = 365 * 86_400 * S, 3600 * S
    assert not is_settled(year, known, S)
    assert is_ahead(year, known, S)
    assert is_ahead(hour, known, S)
    assert is_ahead(year, unknown, S)
    assert not is_ahead(hour, unknown, S)  # that may be what its clock shows
    assert not is_settling(year, unknown, S, 60)
    assert is_settling(hour, unknown, S, 60)
    assert not is_ahead(None, known, S)


def test_a_contradiction_makes_a_file_unstable_and_silence_does_not() -> None:
    listed = Fingerprint(10, 5 * S, "a")
    assert is_stable(listed, Fingerprint(10, 5 * S, "a"), S)
    assert is_stable(listed, Fingerprint(None, None, None), S)
    assert not is_stable(listed, Fingerprint(11, 5 * S, "a"), S)
    assert not is_stable(listed, Fingerprint(10, 5 * S, "b"), S)
    assert not is_stable(Fingerprint(10, 5 * S, None), Fingerprint(10, 6 * S, None), S)


@pytest.mark.parametrize(
    ("comparison", "listed", "held", "equal"),
    [
        (Comparison.MODIFIED, Fingerprint(1, 5 * S, None), Fingerprint(1, 5 * S, None), True),
        (Comparison.CHECKSUM, Fingerprint(1, 5 * S, None), Fingerprint(1, 5 * S, None), None),
        (Comparison.CHECKSUM, Fingerprint(None, None, None), Fingerprint(1, 5 * S, None), None),
        (Comparison.CHECKSUM, Fingerprint(2, 5 * S, None), Fingerprint(1, 5 * S, None), False),
        (Comparison.SIZE, Fingerprint(1, 9 * S, "b"), Fingerprint(1, 5 * S, "a"), True),
        (Comparison.SIZE, Fingerprint(2, 5 * S, "a"), Fingerprint(1, 5 * S, "a"), False),
        (Comparison.SIZE, Fingerprint(None, 5 * S, None), Fingerprint(1, 5 * S, None), False),
        (Comparison.ETAG, Fingerprint(1, 9 * S, "a"), Fingerprint(1, 5 * S, "a"), True),
        (Comparison.ETAG, Fingerprint(1, 5 * S, "b"), Fingerprint(1, 5 * S, "a"), False),
        (Comparison.ETAG, Fingerprint(1, 5 * S, None), Fingerprint(1, 5 * S, None), False),
        (Comparison.ETAG, Fingerprint(2, 5 * S, "a"), Fingerprint(1, 5 * S, "a"), False),
    ],
)
def test_each_comparison_leans_on_its_own(
    comparison: Comparison, listed: Fingerprint, held: Fingerprint, equal: bool | None
) -> None:
    assert decide_equal(comparison, listed, held, S, settled=True) is equal


def test_only_times_need_to_be_settled() -> None:
    same = Fingerprint(1, 5 * S, "a")
    decided = [decide_equal(way, same, same, S, settled=False) for way in Comparison]
    assert decided == [False, None, True, True]
