"""When a job has not run that should have, by its schedule, its windows and its rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.core.idleness import AGAIN, RUNS_MOST, Idleness, IdleTerms, Run, find_gaps
from timing.schedules import After, Every, parse_schedule
from timing.windows import parse_calendar

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)  # a Saturday


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def terms(
    schedule: dict[str, Any], windows: list[dict[str, Any]] | None = None, **more: Any
) -> IdleTerms:
    calendars = (parse_calendar(windows or [], []),)
    return IdleTerms(parse_schedule(schedule), calendars=calendars, **more)


def gaps_of(found: Idleness) -> list[tuple[datetime, datetime | None]]:
    return [(gap.wrong_at, gap.until) for gap in found.gaps]


@pytest.mark.parametrize(
    ("schedule", "wrong_at"),
    [
        ({"every_s": 300}, at(10)),
        ({"every_s": 5}, at(1)),  # twice that is no time at all
        ({"cron": "*/15 * * * *"}, at(30)),
        ({"cron": "30 2 * * *", "timezone": "UTC"}, at(14.5 * 60 + 24 * 60)),
        ({"cron": "0 9 * * 1-5", "timezone": "UTC"}, at((21 + 24 + 24) * 60)),  # Tuesday
    ],
)
def test_a_job_may_be_idle_for_two_of_its_intervals(
    schedule: dict[str, Any], wrong_at: datetime
) -> None:
    before = find_gaps(terms(schedule), NOON, [], wrong_at - timedelta(seconds=1))
    assert (gaps_of(before), before.look_at) == ([], wrong_at)
    found = find_gaps(terms(schedule), NOON, [], wrong_at)
    assert gaps_of(found) == [(wrong_at, None)]
    assert found.look_at == wrong_at + AGAIN


def test_a_rule_may_say_how_long() -> None:
    found = find_gaps(terms({"every_s": 3600}, after_s=90), NOON, [], at(2))
    assert gaps_of(found) == [(at(1.5), None)]


def test_a_job_that_follows_others_has_no_interval_of_its_own() -> None:
    follower = IdleTerms(After(("other",)))
    assert find_gaps(follower, NOON, [], at(100_000)).gaps == ()
    told = IdleTerms(After(("other",)), after_s=60)
    assert gaps_of(find_gaps(told, NOON, [], at(2))) == [(at(1), None)]


def test_what_runs_is_not_idle_however_long_it_takes() -> None:
    every = terms({"every_s": 300})
    running = [Run(at(4), None)]
    found = find_gaps(every, NOON, running, at(600))
    assert (found.gaps, found.idle_from, found.look_at) == ((), at(600), at(610))


def test_a_gap_that_has_ended_is_found_too() -> None:
    every = terms({"every_s": 300})
    runs = [Run(at(5), at(6)), Run(at(30), at(31))]
    found = find_gaps(every, NOON, runs, at(32))
    assert gaps_of(found) == [(at(16), at(30))]
    assert found.idle_from == at(31)
    again = find_gaps(every, found.idle_from, runs, at(33))
    assert again.gaps == ()


def test_what_was_before_the_runs_that_are_looked_at_is_not_known() -> None:
    every = terms({"every_s": 60})
    runs = [Run(at(100 + n), at(100 + n)) for n in range(RUNS_MOST)]
    assert find_gaps(every, NOON, runs, at(100 + RUNS_MOST)).gaps == ()
    assert find_gaps(every, NOON, runs[1:], at(100 + RUNS_MOST)).gaps != ()


NIGHT = [{"from": "22:00", "to": "06:00", "timezone": "UTC"}]


def test_closed_windows_do_not_count_against_a_job() -> None:
    every = terms({"every_s": 300}, NIGHT)
    opening = datetime(2026, 11, 28, 22, tzinfo=UTC)
    morning = datetime(2026, 11, 28, 5, 58, tzinfo=UTC)
    found = find_gaps(every, morning, [], opening)
    assert (found.gaps, found.look_at) == ((), opening + timedelta(minutes=10))
    late = find_gaps(every, morning, [], opening + timedelta(minutes=10))
    assert gaps_of(late) == [(opening + timedelta(minutes=10), None)]


def test_a_daily_job_of_the_night_is_found_too() -> None:
    daily = terms({"every_s": 86_400}, NIGHT)
    noon_of_third_day = NOON + timedelta(days=2)
    opening = noon_of_third_day.replace(hour=22)
    found = find_gaps(daily, NOON, [], opening + timedelta(hours=1))
    assert gaps_of(found) == [(opening + timedelta(hours=1), None)]


SPANS = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300)), max_size=15)


@given(SPANS, st.integers(1, 300), st.data())
def test_however_often_one_looks_the_same_gaps_are_found(
    spans: list[tuple[int, int]], every_s: int, data: st.DataObject
) -> None:
    """Looked at once at the end, or at any times in between."""
    moment, runs = NOON, []
    for pause, length in spans:
        start = moment + timedelta(seconds=pause)
        moment = start + timedelta(seconds=length)
        runs.append(Run(start, moment))
    end = moment + timedelta(seconds=1000)
    limits = IdleTerms(Every(every_s))
    once = {(gap.since, gap.wrong_at) for gap in find_gaps(limits, NOON, runs, end).gaps}
    looks = data.draw(st.lists(st.integers(0, int((end - NOON).total_seconds())), max_size=10))
    often, idle_from = set(), NOON
    for seconds in [*sorted(looks), None]:
        now = end if seconds is None else NOON + timedelta(seconds=seconds)
        known = [
            Run(run.started_at, run.ended_at if run.ended_at and run.ended_at <= now else None)
            for run in runs
            if run.started_at <= now
        ]
        found = find_gaps(limits, idle_from, known, now)
        often |= {gap.wrong_at for gap in found.gaps}
        idle_from = found.idle_from
    assert often == {wrong_at for _, wrong_at in once}
