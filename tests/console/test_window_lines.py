"""Windows and blackouts as lines of text."""

from __future__ import annotations

import pytest

from console.window_lines import InvalidLine, read_blackouts, read_windows, write_lines
from timing.windows import DAYS, parse_blackouts, parse_windows

WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]


@pytest.mark.parametrize(
    ("line", "days", "times", "shown"),
    [
        ("mon-fri 22:00-06:00 Europe/Berlin", WORKDAYS, "22:00 06:00 Europe/Berlin", None),
        ("22:00-6:00", None, "22:00 06:00 UTC", "22:00-06:00 UTC"),
        ("daily 9:00 to 24:00 UTC", None, "09:00 00:00 UTC", "09:00-00:00 UTC"),
        (
            "Sat, Sun 20:30 \u2013 21:15 UTC",
            ["sat", "sun"],
            "20:30 21:15 UTC",
            "sat,sun 20:30-21:15 UTC",
        ),
        (
            "fri-mon 01:00-02:00 UTC",
            ["mon", "fri", "sat", "sun"],
            "01:00 02:00 UTC",
            "mon,fri-sun 01:00-02:00 UTC",
        ),
        (
            "Monday to Friday 08:00-17:00 UTC",
            WORKDAYS,
            "08:00 17:00 UTC",
            "mon-fri 08:00-17:00 UTC",
        ),
    ],
)
def test_a_window_is_read_and_written(
    line: str, days: list[str] | None, times: str, shown: str | None
) -> None:
    (read,) = read_windows(f"\n  {line}  \n")
    assert (read.get("days"), f"{read['from']} {read['to']} {read['timezone']}") == (days, times)
    assert write_lines([read]) == (shown or line)
    assert read_windows(write_lines([read])) == [read]
    assert read_blackouts(line) == [read]


@pytest.mark.parametrize("mask", range(1, 128, 9))
def test_any_choice_of_days_survives(mask: int) -> None:
    days = [day for index, day in enumerate(DAYS) if mask >> index & 1]
    written = [{"days": days, "from": "01:00", "to": "02:30", "timezone": "UTC"}]
    assert parse_windows(read_windows(write_lines(written))) == parse_windows(written)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "2026-12-24 18:00 - 2026-12-27 06:00 Europe/Berlin  Christmas - at home",
            "2026-12-24 18:00+01:00 - 2026-12-27 06:00+01:00  Christmas - at home",
        ),
        ("2026-07-01 8:00 to 2026-07-02 8:00", "2026-07-01 08:00Z - 2026-07-02 08:00Z"),
        (
            "2026-07-01T08:00Z \u2013 2026-07-02T08:00+02:00 Stock taking",
            "2026-07-01 08:00Z - 2026-07-02 08:00+02:00  Stock taking",
        ),
        # On either side of a change of the clocks, each on its own time.
        (
            "2026-10-24 12:00 - 2026-10-26 12:00 Europe/Berlin",
            "2026-10-24 12:00+02:00 - 2026-10-26 12:00+01:00",
        ),
    ],
)
def test_a_stretch_is_read_and_written(line: str, shown: str) -> None:
    read = read_blackouts(line)
    assert write_lines(read) == shown
    assert read_blackouts(shown) == read
    assert len(parse_blackouts(read)) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("22:00-06:00\n\nmno 8:00-9:00", "Line 3: no day 'mno'; did you mean mon?"),
        ("xyz 8:00-9:00", "Line 1: no day 'xyz'; days are mon, tue"),
        ("8:00-25:00", "Line 1: no time 25:00"),
        ("8-9", "Line 1: write it such as mon-fri 22:00-06:00 Europe/Berlin."),
        ("8:00-9:00 Europe/Berln", "no time zone 'Europe/Berln'; did you mean Europe/Berlin?"),
        ("8:00-9:00 Nowhere", "use an IANA name"),
        ("2026-12-24 18:00 - 2026-12-27 06:00", "a date belongs to the blackouts"),
        ("8:00-9:00\n" * 51, "at most 50"),
    ],
)
def test_what_is_wrong_with_a_window_is_said(text: str, says: str) -> None:
    with pytest.raises(InvalidLine) as caught:
        read_windows(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("2026-12-24 - 2026-12-26", "each with date and time"),
        ("2026-13-24 18:00 - 2026-12-27 06:00", "no date 2026-13-24"),
        ("2026-12-24 24:30 - 2026-12-27 06:00", "no time 24:30"),
        ("2026-12-27 18:00 - 2026-12-24 06:00", "until must be later than since"),
        ("2026-12-24 18:00 - 2026-12-27 06:00 Europe/Berln tree", "did you mean Europe/Berlin?"),
        ("Christmas", "write it such as"),
    ],
)
def test_what_is_wrong_with_a_blackout_is_said(line: str, says: str) -> None:
    with pytest.raises(InvalidLine) as caught:
        read_blackouts(line)
    assert says in str(caught.value)
