"""When cron fires, held against croniter on a clock without a zone and a walk over the zone's minutes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from croniter import croniter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from timing.schedules import (
    CRON_MAX,
    CountedFrom,
    Cron,
    Every,
    InvalidSchedule,
    due_after,
    first_due,
    parse_schedule,
)

MINUTE = timedelta(minutes=1)
INSTANT = timedelta(microseconds=1)
ZONES = sorted(available_timezones())
# Where a clock is put forward or back: by an hour, by half an hour, at midnight, over a whole day.
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30", "2026-04-04T15:00"),
    "America/Sao_Paulo": ("2018-11-04T03:00", "2018-02-18T02:00"),
    "Asia/Beirut": ("2026-03-28T22:00", "2026-10-24T21:00"),
    "America/St_Johns": ("2011-03-13T03:31", "2010-11-07T02:31"),
    "Africa/Casablanca": ("2026-03-22T02:00", "2026-02-15T02:00"),
    "Pacific/Apia": ("2011-12-30T10:00", "2012-03-31T14:00"),
    "Asia/Kathmandu": ("1985-12-31T18:30",),
}
near_changes = st.sampled_from([(zone, at) for zone in CHANGES for at in CHANGES[zone]]).flatmap(
    lambda known: st.tuples(
        st.just(known[0]),
        st.integers(-40 * 3600, 40 * 3600).map(
            lambda seconds: (
                datetime.fromisoformat(known[1]).replace(tzinfo=UTC) + timedelta(seconds=seconds)
            )
        ),
    )
)
anywhere = st.tuples(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
minutes = st.sampled_from(["*", "*/15", "*/7", "0", "30", "59", "5,35", "10-50/20", "0,15,30,45"])
hours = st.sampled_from(["*", "*/2", "*/5", "0", "1", "2", "3", "23", "1-3", "0,2", "1-23/2"])
days = st.sampled_from(["*", "1", "28-31", "15,30", "L"])
months = st.sampled_from(["*", "1-11", "3,4,10,11,12", "MAR-DEC"])
weekdays = st.sampled_from(["*", "0", "7", "1-5", "SAT,SUN", "fri", "0,3"])
crons = st.tuples(minutes, hours, days, months, weekdays).map(" ".join)
often = st.tuples(minutes, hours, st.just("*"), st.just("*"), st.sampled_from(["*", "0,6"]))


def enumerate_fires(
    expression: str, zone_name: str, since: datetime, until: datetime
) -> list[datetime]:
    """The rules of the schedules' module, by brute force; whole minutes in UTC."""
    zone = ZoneInfo(zone_name)
    at = since - timedelta(hours=50)
    walk = [
        (at + number * MINUTE, (at + number * MINUTE).astimezone(zone).replace(tzinfo=None, fold=0))
        for number in range(int((until - at) / MINUTE))
    ]
    times = _times(expression, min(clock for _, clock in walk), max(clock for _, clock in walk))
    if expression.split()[0].startswith("*") or expression.split()[1].startswith("*"):
        found = [instant for instant, clock in walk if clock in set(times)]
    else:
        found = []
        shown = walk[0][1]
        for instant, clock in walk:
            if clock > shown and bisect_right(times, shown) < bisect_right(times, clock):
                found.append(instant)
            shown = max(shown, clock)
    return [fire for fire in found if fire >= since]


def _times(expression: str, low: datetime, high: datetime) -> list[datetime]:
    # Debian's rule for the two days goes by the name of a bug over there.
    steps = croniter(expression, low - MINUTE, ret_type=datetime, implement_cron_bug=True)
    found: list[datetime] = []
    while (following := steps.get_next()) <= high:
        found.append(following)
    return found


def check(expression: str, zone: str, at: datetime) -> None:
    since = at.replace(second=0, microsecond=0) - timedelta(hours=6)
    until = since + timedelta(hours=12)
    fires = enumerate_fires(expression, zone, since, until)
    cron = Cron(expression, zone)
    for moment in {
        at,
        *fires,
        *(fire - INSTANT for fire in fires),
        *(fire + INSTANT for fire in fires),
    }:
        following, previous = cron.next_fire(moment), cron.previous_fire(moment)
        later, earlier = bisect_right(fires, moment), bisect_left(fires, moment)
        if later < len(fires):
            assert following == fires[later]
        else:
            assert following is None or following >= until
        if earlier:
            assert previous == fires[earlier - 1]
        else:
            assert previous is None or previous < since


@settings(max_examples=150, deadline=None)
@given(fields=often, place=near_changes)
def test_fires_around_a_change_of_the_clock_are_those_of_a_second_library(
    fields: tuple[str, ...], place: tuple[str, datetime]
) -> None:
    check(" ".join(fields), *place)


@settings(max_examples=150, deadline=None)
@given(expression=crons, place=anywhere)
def test_fires_in_any_zone_are_those_of_a_second_library(
    expression: str, place: tuple[str, datetime]
) -> None:
    check(expression, *place)


@settings(max_examples=150, deadline=None)
@given(expression=crons, place=st.one_of(near_changes, anywhere))
def test_fires_follow_each_other_forwards_and_backwards(
    expression: str, place: tuple[str, datetime]
) -> None:
    zone, at = place
    cron = Cron(expression, zone)
    fires = [at]
    for _ in range(20):
        following = cron.next_fire(fires[-1])
        assert following is not None
        assert following > fires[-1]
        fires.append(following)
    for earlier, later in pairwise(fires[1:]):
        assert cron.previous_fire(later) == earlier
    last_before = cron.previous_fire(fires[1])
    assert last_before is None or last_before <= at


# --- the rules, by example


def fires_of(expression: str, zone: str, since: str, count: int) -> list[str]:
    """From a local time on, as local times with their offset."""
    cron = Cron(expression, zone)
    at: datetime | None = datetime.fromisoformat(since).replace(tzinfo=ZoneInfo(zone)) - INSTANT
    found = []
    for _ in range(count):
        assert at is not None
        at = cron.next_fire(at)
        assert at is not None
        found.append(at.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("zone", "expression", "since", "expected"),
    [
        (
            "Europe/Berlin", "30 2 * * *", "2026-03-28T00:00",
            ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
        ),
        (
            "America/New_York", "30 2 * * *", "2026-03-08T00:00",
            ["2026-03-08T03:00-04:00", "2026-03-09T02:30-04:00"],
        ),
        (
            "Australia/Lord_Howe", "15 2 * * *", "2026-10-04T00:00",
            ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
        ),
        (
            "America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00",
            ["2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"],
        ),
        (
            "Pacific/Apia", "0 8 * * *", "2011-12-29T00:00",
            ["2011-12-29T08:00-10:00", "2011-12-31T00:00+14:00", "2011-12-31T08:00+14:00"],
        ),
    ],
)  # fmt: skip
def test_q11_a_time_in_a_dst_gap_fires_once_at_the_gaps_end(
    zone: str, expression: str, since: str, expected: list[str]
) -> None:
    assert fires_of(expression, zone, since, len(expected)) == expected


def test_q11_times_that_one_gap_swallows_fire_once_together() -> None:
    assert fires_of("0,20,40 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00", 4) == [
        "2026-03-29T03:00+02:00", "2026-03-29T03:20+02:00", "2026-03-29T03:40+02:00",
        "2026-03-30T02:00+02:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "expression", "since", "expected"),
    [
        (
            "Europe/Berlin", "30 2 * * *", "2026-10-25T00:00",
            ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
        ),
        (
            "America/New_York", "30 1 * * *", "2026-11-01T00:00",
            ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"],
        ),
        (
            "Australia/Lord_Howe", "45 1 * * *", "2026-04-05T00:00",
            ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"],
        ),
        (
            "America/Sao_Paulo", "30 23 * * *", "2018-02-17T00:00",
            ["2018-02-17T23:30-02:00", "2018-02-18T23:30-03:00"],
        ),
    ],
)  # fmt: skip
def test_q11_a_time_that_a_dst_overlap_repeats_fires_once(
    zone: str, expression: str, since: str, expected: list[str]
) -> None:
    assert fires_of(expression, zone, since, len(expected)) == expected


def test_q11_asked_in_the_second_pass_of_an_overlap_the_next_fire_is_not_in_the_past() -> None:
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10, an hour after the first
    fire = Cron("30 2 * * *", "Europe/Berlin").next_fire(second_pass)
    assert fire == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "expression", "since", "expected"),
    [
        (
            "Europe/Berlin", "*/30 * * * *", "2026-03-29T01:30",
            ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"],
        ),
        (
            "Europe/Berlin", "0 * * * *", "2026-03-29T01:00",
            ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"],
        ),
        (
            "Europe/Berlin", "*/30 2 * * *", "2026-03-29T00:00",
            ["2026-03-30T02:00+02:00"],
        ),
        (
            "Australia/Lord_Howe", "0 * * * *", "2026-10-04T01:00",
            ["2026-10-04T01:00+10:30", "2026-10-04T03:00+11:00"],
        ),
    ],
)  # fmt: skip
def test_q11_a_wildcard_cron_fires_at_no_time_that_a_gap_swallows(
    zone: str, expression: str, since: str, expected: list[str]
) -> None:
    assert fires_of(expression, zone, since, len(expected)) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "since", "expected"),
    [
        (
            "Europe/Berlin", "*/30 * * * *", "2026-10-25T02:00",
            [
                "2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00",
                "2026-10-25T02:30+01:00", "2026-10-25T03:00+01:00",
            ],
        ),
        (
            "America/New_York", "0 * * * *", "2026-11-01T01:00",
            ["2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00", "2026-11-01T02:00-05:00"],
        ),
        (
            "Australia/Lord_Howe", "40 * * * *", "2026-04-05T01:00",
            ["2026-04-05T01:40+11:00", "2026-04-05T01:40+10:30", "2026-04-05T02:40+10:30"],
        ),
    ],
)  # fmt: skip
def test_q11_a_wildcard_cron_fires_at_both_times_of_an_overlap(
    zone: str, expression: str, since: str, expected: list[str]
) -> None:
    assert fires_of(expression, zone, since, len(expected)) == expected


def test_q11_feb_29_comes_in_leap_years_only() -> None:
    assert fires_of("0 0 29 2 *", "Europe/Berlin", "2026-01-01T00:00", 2) == [
        "2028-02-29T00:00+01:00", "2032-02-29T00:00+01:00",
    ]  # fmt: skip
    assert fires_of("*/30 * 29 2 *", "UTC", "2097-01-01T00:00", 1) == ["2104-02-29T00:00+00:00"]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "/etc/localtime", "", 5, None, [], "Europe/berlin", "Europe", "localtime",
        "posixrules", "right/UTC", "Mars/Olympus", "Europe/Berlin\n", "a\0b", "\udc00", "x" * 1_000_000,
    ],
)  # fmt: skip
def test_q11_a_bad_zone_is_refused(name: object) -> None:
    with pytest.raises(InvalidSchedule, match="no time zone") as raised:
        parse_schedule({"cron": "0 2 * * *", "timezone": name})
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "expression", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 2,4,6,9,11 *", "0 0 30-31 2 *"]
)
def test_q11_a_cron_that_never_fires_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSchedule, match="no such day"):
        parse_schedule({"cron": expression})


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields; give five"),
        ("@daily", "1 field;"),
        ("*," * 500_000 + "* * * * *", "longer than 500"),
        ("0/" + "9" * 400 + "x * * * *", "minute"),
        ("0 0 15W * *", "day-of-month"),
        ("0 0 * * MON#6", "day-of-week"),
        ("0 0 * * 5L-2", "day-of-week"),
        ("0 0 L/x * *", "day-of-month"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("0 0 ? * *", "day-of-month"),
        ("0 24 * * *", "hour"),
        ("\0 * * * *", "minute"),
    ],
)
def test_q11_a_hostile_cron_is_refused_in_words(expression: str, says: str) -> None:
    with pytest.raises(InvalidSchedule, match=says) as raised:
        parse_schedule({"cron": expression})
    assert len(str(raised.value)) < 400


@settings(max_examples=250, deadline=None)
@given(st.text("0123456789*/,-#LWSUNMONFEB \t²٣", max_size=CRON_MAX))
@example("0 0 L,15/2 * *")
@example("0 0 * 2 MON#5")
def test_q11_any_text_is_a_cron_that_fires_or_is_refused(expression: str) -> None:
    try:
        schedule = parse_schedule({"cron": expression, "timezone": "Europe/Berlin"})
    except InvalidSchedule:
        return
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)
    following = schedule.next_fire(now)
    assert following is not None
    assert following > now


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", "2026-11-30"),
        ("0 0 LW * *", "2026-11-30"),
        ("0 0 * * 5L", "2026-11-27"),
        ("0 0 * * MON#2", "2026-12-14"),
        ("0 0 1 * MON", "2026-11-23"),  # either day
        ("0 0 */2 * MON", "2026-11-23"),  # both: an odd day that is a Monday
    ],
)
def test_last_days_and_nth_weekdays_are_understood(expression: str, expected: str) -> None:
    fire = parse_schedule({"cron": expression}).next_fire(datetime(2026, 11, 22, 10, tzinfo=UTC))
    assert fire == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_zones_come_from_the_pinned_package_and_not_from_the_machine() -> None:
    import zoneinfo

    assert zoneinfo.TZPATH == ()


# --- when a job is due


@settings(max_examples=200, deadline=None)
@given(
    expression=crons,
    place=st.one_of(near_changes, anywhere),
    offset_s=st.integers(0, 86_400),
    late_s=st.integers(0, 200_000),
)
def test_a_job_is_due_next_at_the_first_fire_later_than_now(
    expression: str, place: tuple[str, datetime], offset_s: int, late_s: int
) -> None:
    zone, at = place
    cron, offset = Cron(expression, zone), timedelta(seconds=offset_s)
    due = first_due(cron, at, offset)
    assert due is not None
    assert due > at
    fire = cron.next_fire(at - offset)
    assert fire is not None
    assert due == fire + offset
    now = due + timedelta(seconds=late_s)
    following = due_after(cron, due, now, offset)
    assert following is not None
    assert following > now
    previous = cron.previous_fire(following - offset)
    assert previous is not None
    assert previous + offset <= now


def test_an_interval_counted_from_the_end_has_no_next_fire_of_its_own() -> None:
    now: Any = datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert due_after(Every(60, CountedFrom.END), now, now, timedelta(0)) is None
