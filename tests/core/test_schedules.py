from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timing.schedules import (
    Cron,
    Every,
    InvalidSchedule,
    Manual,
    drawn_near,
    due_after,
    first_due,
    parse_schedule,
)

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def test_nothing_given_runs_by_hand() -> None:
    assert parse_schedule({}) == Manual()
    assert parse_schedule(None).next_fire(NOW) is None


def test_a_cron_time_is_local_to_its_zone() -> None:
    schedule = parse_schedule({"cron": "0 2 * * *", "timezone": "America/New_York"})
    assert schedule.next_fire(NOW) == datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_form", "expected"),
    [
        ({"frequency": "hourly", "time": "00:15"}, "15 * * * *"),
        ({"frequency": "daily", "time": "02:00"}, "0 2 * * *"),
        ({"frequency": "weekly", "time": "02:00"}, "0 2 * * 0"),
        ({"frequency": "weekly", "time": "02:30", "weekday": "Friday"}, "30 2 * * 5"),
    ],
)
def test_frequencies_are_cron_in_words(given_form: dict[str, str], expected: str) -> None:
    schedule = parse_schedule(given_form)
    assert isinstance(schedule, Cron)
    assert schedule.expression == expected


@pytest.mark.parametrize(
    ("given_form", "says"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 2 * * *", "timezone": "Mars/Olympus"}, "time zone"),
        ({"every_s": 0}, "every_s"),
        ({"every_s": True}, "every_s"),
        ({"every_s": 5, "cron": "* * * * *"}, "one of"),
        ({"frequency": "yearly"}, "frequency"),
        ({"frequency": "daily", "time": "25:00"}, "time"),
        ({"every": 5}, "one of"),
        ({"frequency": "daily", "time": 1230}, "time"),
        ({"every_s": 5, "timezone": "UTC"}, "timezone"),
    ],
)
def test_a_wrong_schedule_says_what_is_wrong(given_form: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidSchedule, match=says):
        parse_schedule(given_form)


def test_a_time_in_a_dst_gap_fires_once_at_the_next_valid_instant() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    schedule = Cron("30 2 * * *", "Europe/Berlin")
    fire = schedule.next_fire(datetime(2026, 3, 28, 12, 0, tzinfo=berlin))
    assert fire == datetime(2026, 3, 29, 3, 0, tzinfo=berlin).astimezone(UTC)
    assert schedule.next_fire(fire) == datetime(2026, 3, 30, 2, 30, tzinfo=berlin).astimezone(UTC)


def test_a_time_that_an_overlap_repeats_fires_once() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    schedule = Cron("30 2 * * *", "Europe/Berlin")
    first = schedule.next_fire(datetime(2026, 10, 24, 12, 0, tzinfo=berlin))
    assert first is not None
    second = schedule.next_fire(first)
    assert second == datetime(2026, 10, 26, 2, 30, tzinfo=berlin).astimezone(UTC)


def test_an_interval_is_due_at_once_and_a_clock_time_waits() -> None:
    assert first_due(Every(60), NOW) == NOW
    assert first_due(Cron("0 2 * * *", "UTC"), NOW) == datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@given(every_s=st.integers(1, 100_000), late_s=st.integers(0, 10_000_000))
def test_missed_intervals_are_one_misfire_and_keep_their_grid(every_s: int, late_s: int) -> None:
    following = due_after(Every(every_s), NOW, NOW + timedelta(seconds=late_s), timedelta(0))
    assert following is not None
    assert following > NOW + timedelta(seconds=late_s)
    assert following - timedelta(seconds=every_s) <= NOW + timedelta(seconds=late_s)
    assert (following - NOW).total_seconds() % every_s == 0


@pytest.mark.parametrize(
    ("written", "due", "near"),
    [
        ({"every_s": 900}, NOW + timedelta(days=400, seconds=7), NOW + timedelta(seconds=7)),
        ({"every_s": 900}, NOW + timedelta(seconds=900 + 3600), None),  # no more than an hour off
        ({"every_s": 900}, NOW + timedelta(seconds=900 + 3601), NOW + timedelta(seconds=1)),
        ({"cron": "0 11 * * *"}, NOW + timedelta(days=400, hours=1), NOW + timedelta(hours=1)),
        ({"cron": "0 11 * * *"}, NOW + timedelta(hours=1), None),
        ({"cron": "0 11 * * *"}, NOW - timedelta(days=1), None),  # what is due already stays so
        ({"cron": "0 0 29 2 *"}, datetime(2028, 2, 29, tzinfo=UTC), None),
        ({}, NOW + timedelta(days=400), None),
    ],
)
def test_what_lies_further_ahead_than_its_schedule_plans_is_drawn_near(
    written: dict[str, object], due: datetime, near: datetime | None
) -> None:
    assert drawn_near(parse_schedule(written), due, NOW, timedelta(0)) == near
