from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timing.misfires import (
    CATCH_UP_MAX,
    GRACE_S,
    FireService,
    Misfire,
    Rules,
    SkippedBy,
    SkippedFires,
    Stretch,
    decide_service,
)
from timing.schedules import (
    CountedFrom,
    Cron,
    Every,
    Schedule,
    first_due,
    parse_schedule,
)

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
TWO_MINUTES = timedelta(minutes=2)
DUE = NOW - timedelta(minutes=10)  # since when; six fires with the one of now
both = pytest.mark.parametrize(
    "schedule", [Every(120), parse_schedule({"cron": "*/2 * * * *", "timezone": "UTC"})]
)


def decide(schedule: Schedule, **rules: object) -> FireService:
    return decide_service(schedule, DUE, NOW, Rules(**rules))  # type: ignore[arg-type]  # by name


@both
def test_a_fire_in_time_is_served_and_nothing_else_is_told(schedule: Schedule) -> None:
    service = decide_service(schedule, NOW, NOW + timedelta(seconds=5), Rules())
    assert service == FireService(NOW, next_due=NOW + TWO_MINUTES)


@both
def test_run_once_serves_all_that_was_missed_by_one_record(schedule: Schedule) -> None:
    merged = Stretch(5, DUE + TWO_MINUTES, NOW)
    assert decide(schedule) == FireService(DUE, merged, next_due=NOW + TWO_MINUTES)


@both
def test_skip_serves_what_is_in_time_and_tells_the_rest(schedule: Schedule) -> None:
    service = decide(schedule, policy=Misfire.SKIP)
    assert service.serve == NOW
    assert service.skipped == (
        SkippedFires(
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
    assert service.merged == Stretch(1_000, long_ago + timedelta(minutes=1), NOW, more=True)
    assert service.merged.describe().startswith("1000 or more fires")


@pytest.mark.parametrize("days", [0.6, 1000])
def test_catching_up_never_exceeds_its_limit_however_long_the_stretch(days: float) -> None:
    due, latest = NOW - timedelta(days=days), Rules(Misfire.CATCH_UP, catch_up_max=CATCH_UP_MAX)
    schedule = parse_schedule({"cron": "* * * * *"})
    service = decide_service(schedule, due, NOW, latest)
    count = min(CATCH_UP_MAX, int(days * 1440) + 1)
    assert service.serve == NOW - timedelta(minutes=count - 1)
    assert service.catch_up == Stretch(count - 1, NOW - timedelta(minutes=count - 2), NOW)


def test_what_is_counted_from_the_end_is_due_once_however_late() -> None:
    service = decide(Every(120, CountedFrom.END), policy=Misfire.CATCH_UP)
    assert service == FireService(DUE)


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
crons = st.builds(
    Cron,
    st.sampled_from(
        ["*/15 * * * *", "0 * * * *", "30 2 * * *", "*/30 1-3 * * *", "5,35 2,3 * * 0,6"]
    ),
    st.sampled_from(ZONES),
)
intervals = st.builds(Every, st.integers(1, 5_000), st.sampled_from(CountedFrom))
rules = st.builds(
    Rules,
    st.sampled_from(Misfire),
    st.integers(1, 40),
    st.none() | st.integers(1, 200_000),
    st.integers(0, 86_400).map(lambda seconds: timedelta(seconds=seconds)),
)
# Days on which clocks change, and others.
moments = st.sampled_from(
    [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)]
).flatmap(
    lambda day: st.integers(0, 32 * 86_400_000).map(lambda ms: day + timedelta(milliseconds=ms))
)


def enumerate_due(schedule: Schedule, due: datetime, now: datetime, given: Rules) -> list[datetime]:
    """One by one, forwards, by `next_fire` alone; and the first later than now."""
    found = [due]
    while found[-1] <= now:
        fire = schedule.next_fire(found[-1] - given.offset)
        assert fire is not None
        found.append(fire + given.offset)
    return found


def spread(stretch: Stretch | None, fires: list[datetime]) -> list[datetime]:
    """The fires that it stands for; its count and ends are theirs."""
    if stretch is None:
        return []
    meant = [fire for fire in fires if stretch.first <= fire <= stretch.last]
    assert (meant[0], meant[-1]) == (stretch.first, stretch.last)
    assert len(meant) == stretch.count or (stretch.more and len(meant) > stretch.count)
    return meant


@settings(max_examples=400, deadline=None)
@given(
    schedule=crons | intervals,
    begin=moments,
    late=st.integers(0, 120) | st.integers(0, 250_000),
    given_rules=rules,
)
def test_each_due_fire_is_served_merged_caught_up_with_or_skipped_and_none_twice(
    schedule: Cron | Every, begin: datetime, late: int, given_rules: Rules
) -> None:
    due = first_due(schedule, begin, given_rules.offset)
    assert due is not None
    now = due + timedelta(seconds=late)
    service = decide_service(schedule, due, now, given_rules)
    from_end = isinstance(schedule, Every) and schedule.counted_from is CountedFrom.END
    fires = [due] if from_end else enumerate_due(schedule, due, now, given_rules)
    assert service.next_due == (None if from_end else fires.pop())
    skipped = [fire for part in service.skipped for fire in spread(part.fires, fires)]
    caught_up = spread(service.catch_up, fires)
    told = [
        *skipped,
        *([] if service.serve is None else [service.serve]),
        *spread(service.merged, fires),
        *caught_up,
    ]
    assert told == fires  # in order, so none is told twice
    assert len(caught_up) < given_rules.catch_up_max
    check_policy(service, fires, skipped, now, given_rules)


def check_policy(
    service: FireService,
    fires: list[datetime],
    skipped: list[datetime],
    now: datetime,
    given: Rules,
) -> None:
    too_late = {
        fire
        for fire in fires
        if given.max_lateness_s is not None and now - fire > timedelta(seconds=given.max_lateness_s)
    }
    missed = {fire for fire in fires if now - fire > timedelta(seconds=GRACE_S)} - too_late
    match given.policy:
        case Misfire.RUN_ONCE:
            assert set(skipped) == too_late
            assert service.catch_up is None
        case Misfire.SKIP:
            assert set(skipped) == too_late | missed
            assert service.catch_up is None
        case Misfire.CATCH_UP if missed:
            left = [fire for fire in fires if fire not in too_late]
            assert skipped == [*sorted(too_late), *left[: -given.catch_up_max]]
            assert service.merged is None
