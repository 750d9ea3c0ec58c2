from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncjobs.core.misfires import (
    Misfire,
    Rules,
    Service,
    Skipped,
    SkippedBy,
    Stretch,
    decide_service,
)
from syncjobs.core.schedules import Every, Schedule, parse_schedule

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
TWO_MINUTES = timedelta(minutes=2)
DUE = NOW - timedelta(minutes=10)  # since when; six fires with the one of now
both = pytest.mark.parametrize(
    "schedule", [Every(120), parse_schedule({"cron": "*/2 * * * *", "timezone": "UTC"})]
)


def decide(schedule: Schedule, **rules: object) -> Service:
    return decide_service(schedule, DUE, NOW, Rules(**rules))  # type: ignore[arg-type]  # by name


@both
def test_a_fire_in_time_is_served_and_nothing_else_is_told(schedule: Schedule) -> None:
    service = decide_service(schedule, NOW, NOW + timedelta(seconds=5), Rules())
    assert service == Service(NOW, next_due=NOW + TWO_MINUTES)


@both
def test_run_once_serves_all_that_was_missed_by_one_record(schedule: Schedule) -> None:
    merged = Stretch(5, DUE + TWO_MINUTES, NOW)
    assert decide(schedule) == Service(DUE, merged, next_due=NOW + TWO_MINUTES)


@both
def test_skip_serves_what_is_in_time_and_tells_the_rest(schedule: Schedule) -> None:
    service = decide(schedule, policy=Misfire.SKIP)
    assert service.serve == NOW
    assert service.skipped == (
        Skipped(
            Stretch(5, DUE, NOW - TWO_MINUTES),
            SkippedBy.MISFIRE,
            "missed, and the job's misfire policy is skip",
        ),
    )


@both
def test_catch_up_serves_the_latest_in_turn_and_tells_the_rest(schedule: Schedule) -> None:
    service = decide(schedule, policy=Misfire.CATCH_UP, catch_up_max=4)
    assert service.serve == NOW - 3 * TWO_MINUTES
    assert service.catch_up == Stretch(3, NOW - 2 * TWO_MINUTES, NOW)
    assert [skip.fires for skip in service.skipped] == [Stretch(2, DUE, DUE + TWO_MINUTES)]


@both
def test_what_is_later_than_the_lateness_allowed_is_skipped(schedule: Schedule) -> None:
    service = decide(schedule, max_lateness_s=300)
    assert service.serve == NOW - 2 * TWO_MINUTES
    assert service.merged == Stretch(2, NOW - TWO_MINUTES, NOW)
    assert [skip.fires for skip in service.skipped] == [
        Stretch(3, DUE, NOW - 3 * TWO_MINUTES),
    ]


def test_years_of_missed_fires_are_counted_up_to_a_limit() -> None:
    long_ago = NOW - timedelta(days=1000)
    service = decide_service(parse_schedule({"cron": "* * * * *"}), long_ago, NOW, Rules())
    assert service.merged == Stretch(1_000, long_ago + timedelta(minutes=1), NOW)
