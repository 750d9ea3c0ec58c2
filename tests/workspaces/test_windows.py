"""Windows and blackouts, held against a walk over the minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timing.windows import (
    ALWAYS,
    DAYS,
    Calendar,
    InvalidWindow,
    Period,
    Window,
    find_change,
    is_open,
    parse_blackouts,
    parse_calendar,
    parse_windows,
)

MINUTE = timedelta(minutes=1)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns")
# Days around changes of the clock: by an hour, by half an hour, from just past midnight to yesterday.
BEGINNINGS = tuple(
    datetime.fromisoformat(day).replace(tzinfo=UTC)
    for day in ("2026-03-28", "2026-10-24", "2026-10-31", "2026-04-04", "2010-11-06", "2026-07-01")
)

times = st.sampled_from(
    [time(0), time(0, 30), time(1, 45), time(2), time(2, 30), time(3), time(22)]
)
windows = st.builds(
    Window,
    st.sets(st.integers(0, 6), min_size=1).map(frozenset),
    times,
    times,
    st.sampled_from(ZONES),
)


def periods(begin: datetime) -> st.SearchStrategy[Period]:
    return st.tuples(st.integers(-1000, 3000), st.integers(1, 2000)).map(
        lambda minutes: Period(
            begin + minutes[0] * MINUTE, begin + (minutes[0] + minutes[1]) * MINUTE
        )
    )


def calendars(begin: datetime) -> st.SearchStrategy[list[Calendar]]:
    parts = st.builds(
        Calendar,
        st.lists(windows, max_size=3).map(tuple),
        st.lists(windows | periods(begin), max_size=2).map(tuple),
    )
    return st.lists(parts, max_size=2)


def reach(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first minute at which the clock shows the time or a later one: a walk from a day before."""
    wanted = datetime.combine(day, at)
    instant = wanted.replace(tzinfo=UTC) - timedelta(hours=26)
    while instant.astimezone(zone).replace(tzinfo=None) < wanted:
        instant += MINUTE
    return instant


def walk(given: list[Calendar], begin: datetime, minutes: int) -> list[bool]:
    """For each minute, whether it is open."""
    known: dict[tuple[date, time, str], datetime] = {}

    def covered(part: Window | Period) -> set[int]:
        if isinstance(part, Period):
            spans = [(part.since, part.until)]
        else:
            spans = []
            for number in range(-3, minutes // 1440 + 3):
                day = begin.date() + timedelta(days=number)
                if day.weekday() not in part.days:
                    continue
                last = day if part.end > part.start else day + timedelta(days=1)
                zone = ZoneInfo(part.timezone)
                ends = [(day, part.start, part.timezone), (last, part.end, part.timezone)]
                for key in ends:
                    if key not in known:
                        known[key] = reach(key[0], key[1], zone)
                spans.append((known[ends[0]], known[ends[1]]))
        return {
            minute
            for since, until in spans
            for minute in range(
                max(0, (since - begin) // MINUTE), min(minutes, (until - begin) // MINUTE)
            )
        }

    answer = [True] * minutes
    for calendar in given:
        allowed = set().union(*map(covered, calendar.windows))
        refused = set().union(*map(covered, calendar.blackouts))
        for minute in range(minutes):
            if (calendar.windows and minute not in allowed) or minute in refused:
                answer[minute] = False
    return answer


@settings(max_examples=80, deadline=None)
@given(data=st.data(), begin=st.sampled_from(BEGINNINGS))
def test_windows_are_what_a_walk_over_the_minutes_says(
    data: st.DataObject, begin: datetime
) -> None:
    given_calendars = data.draw(calendars(begin))
    minutes = 3 * 1440
    truth = walk(given_calendars, begin, minutes)
    shown = [is_open(given_calendars, begin + minute * MINUTE) for minute in range(minutes)]
    assert shown == truth
    changes = [minute for minute in range(1, minutes) if truth[minute] != truth[minute - 1]]
    for at in {0, *changes, *data.draw(st.lists(st.integers(0, minutes - 1), max_size=20))}:
        expected = next((minute for minute in changes if minute > at), None)
        found = find_change(given_calendars, begin + at * MINUTE)
        if expected is None:
            assert found is None or found >= begin + minutes * MINUTE
        else:
            assert found == begin + expected * MINUTE


def weekly(start: str, end: str, zone: str = "UTC", days: tuple[str, ...] = DAYS) -> dict[str, Any]:
    return {"days": list(days), "from": start, "to": end, "timezone": zone}


def changes_of(given: list[Calendar], at: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        following = find_change(given, at)
        assert following is not None
        at = following
        found.append(f"{at:%m-%d %H:%M}")
    return found


def test_no_window_is_always_open() -> None:
    assert is_open([], MONDAY)
    assert is_open([ALWAYS, ALWAYS], MONDAY)
    assert find_change([ALWAYS], MONDAY) is None


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    calendar = parse_calendar([weekly("22:00", "06:00", days=("mon",))], [])
    assert changes_of([calendar], MONDAY, 3) == ["11-23 22:00", "11-24 06:00", "11-30 22:00"]
    assert is_open([calendar], MONDAY + timedelta(hours=29))
    assert not is_open([calendar], MONDAY + timedelta(hours=5))


def test_the_same_time_twice_is_a_whole_day() -> None:
    every_day = parse_calendar([weekly("06:00", "06:00")], [])
    assert is_open([every_day], MONDAY)
    assert find_change([every_day], MONDAY) is None
    mondays = parse_calendar([weekly("00:00", "00:00", days=("mon",))], [])
    assert changes_of([mondays], MONDAY, 2) == ["11-24 00:00", "11-30 00:00"]


def test_windows_that_overlap_are_one() -> None:
    calendar = parse_calendar([weekly("08:00", "12:00"), weekly("11:00", "15:00")], [])
    assert changes_of([calendar], MONDAY, 2) == ["11-23 08:00", "11-23 15:00"]


def test_a_blackout_beats_a_window_and_a_period_beats_both() -> None:
    calendar = parse_calendar(
        [weekly("08:00", "18:00")],
        [
            weekly("12:00", "13:00"),
            {
                "since": "2026-11-23T16:00:00Z",
                "until": "2026-11-25T10:00:00+01:00",
                "reason": "audit",
            },
        ],
    )
    assert changes_of([calendar], MONDAY, 6) == [
        "11-23 08:00", "11-23 12:00", "11-23 13:00", "11-23 16:00", "11-25 09:00", "11-25 12:00",
    ]  # fmt: skip


def test_a_job_and_its_workspace_must_both_be_open() -> None:
    job = parse_calendar([weekly("08:00", "18:00")], [])
    workspace = parse_calendar([weekly("16:00", "20:00")], [])
    assert changes_of([job, workspace], MONDAY, 2) == ["11-23 16:00", "11-23 18:00"]


def test_windows_without_a_common_minute_never_open() -> None:
    apart = [
        parse_calendar([weekly(*hours)], []) for hours in (("08:00", "09:00"), ("10:00", "11:00"))
    ]
    assert find_change(apart, MONDAY) is None


@pytest.mark.parametrize(
    ("zone", "hours", "at", "expected"),
    [
        # DST begins: 02:30 is not there, and the window ends with the gap; one wholly in it is none.
        ("Europe/Berlin", ("01:00", "02:30"), "2026-03-28T12:00", ["03-29 00:00", "03-29 01:00"]),
        ("Europe/Berlin", ("02:10", "02:50"), "2026-03-28T12:00", ["03-30 00:10", "03-30 00:50"]),
        # DST ends: 02:00 to 03:00 comes twice.
        ("Europe/Berlin", ("01:00", "02:30"), "2026-10-24T12:00", ["10-24 23:00", "10-25 00:30"]),
        ("Europe/Berlin", ("02:30", "04:00"), "2026-10-24T12:00", ["10-25 00:30", "10-25 03:00"]),
        ("America/New_York", ("01:30", "02:00"), "2026-10-31T12:00", ["11-01 05:30", "11-01 07:00"]),
        ("Australia/Lord_Howe", ("01:45", "03:00"), "2026-04-04T12:00", ["04-04 14:45", "04-04 16:30"]),
    ],
)  # fmt: skip
def test_windows_on_the_day_of_a_dst_change(
    zone: str, hours: tuple[str, str], at: str, expected: list[str]
) -> None:
    calendar = parse_calendar([weekly(*hours, zone=zone)], [])
    assert changes_of([calendar], datetime.fromisoformat(at).replace(tzinfo=UTC), 2) == expected


def test_fifty_windows_that_never_close_are_looked_at_within_a_bound_of_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A year ahead: each window's stretches are laid out a few times a week, and not anew at each bound."""
    items = [weekly(f"{n % 24:02}:00", f"{n % 24:02}:00", ZONES[n % 4]) for n in range(50)]
    calendar = parse_calendar(items, [])
    laid_out = 0
    spans = Window.spans

    def counted(self: Window, since: datetime, until: datetime) -> Any:
        nonlocal laid_out
        laid_out += 1
        return spans(self, since, until)

    monkeypatch.setattr(Window, "spans", counted)
    assert find_change([calendar], MONDAY) is None
    assert laid_out <= 50 * 61


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ({}, "give a list"),
        (["mon"], "give a list"),
        ([weekly("08:00", "09:00")] * 51, "at most 50"),
        ([{"from": "08:00"}], "from and to"),
        ([{"from": "8:00", "to": "09:00"}], "from must be"),
        ([{"from": "08:00", "to": "24:00"}], "to must be"),
        ([{"from": "08:00", "to": "0900"}], "to must be"),
        ([{"from": 1320, "to": "09:00"}], "from must be"),
        ([{"from": "08:00", "to": "\u06609:00"}], "to must be"),
        ([{"from": "08:00\n", "to": "09:00"}], "from must be"),
        ([{"from": "08:00", "to": "09:00", "days": []}], "days must be"),
        ([{"from": "08:00", "to": "09:00", "days": "mon"}], "days must be"),
        ([{"from": "08:00", "to": "09:00", "days": ["moon"]}], "days must be"),
        ([{"from": "08:00", "to": "09:00", "days": [1]}], "days must be"),
        ([{"from": "08:00", "to": "09:00", "timezone": "../../etc/passwd"}], "no time zone"),
        ([{"from": "08:00", "to": "09:00", "timezone": 5}], "no time zone"),
        ([{"from": "08:00", "to": "09:00", "zone": "UTC"}], "unknown word 'zone'"),
    ],
)
def test_a_wrong_window_says_what_is_wrong(items: Any, says: str) -> None:
    with pytest.raises(InvalidWindow, match=says):
        parse_windows(items)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"since": "2026-11-23T16:00:00Z"}, "since and until"),
        ({"since": "2026-11-23T16:00:00Z", "until": "2026-11-23T16:00:00Z"}, "later than since"),
        ({"since": "yesterday", "until": "2026-11-23T16:00:00Z"}, "since must be an ISO"),
        ({"since": 5, "until": "2026-11-23T16:00:00Z"}, "since must be an ISO"),
        ({"since": "0001-01-01T00:00:00+05:00", "until": "2026-11-23T16:00:00Z"}, "since must be"),
        ({"since": "2026-11-23", "until": "2026-11-24", "from": "08:00"}, "unknown word 'from'"),
    ],
)
def test_a_wrong_blackout_says_what_is_wrong(item: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidWindow, match=says):
        parse_blackouts([item])
