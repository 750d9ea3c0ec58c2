"""Draws the first page's four charts from totals by hour: the text of each is made from the same figures as its marks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils.safestring import SafeString

from console.charts import (
    STACKED,
    draw_columns,
    draw_line,
    draw_stacked_columns,
    tell_as_table,
)
from console.words import group_digits, size_words
from syncjobs.queries.history import DAYS, History, HourOfState

HOURS = 24
DAYS_SHOWN = 14
SUCCEEDED = ("succeeded", "suspect")
ENDED = (*SUCCEEDED, "partial", "failed", "timed_out")  # a cancelled record says nothing of a job


@dataclass(frozen=True, slots=True)
class DayChart:
    title: str
    newest: str
    drawn: SafeString
    axis: tuple[str, str, str]
    table: SafeString
    has_states: bool = False


def draw_history(
    history: History, now: datetime, *, free_bytes: int | None = None
) -> list[DayChart]:
    days = [(now - timedelta(days=back)).date() for back in reversed(range(DAYS))]
    by_day: dict[date, list[HourOfState]] = defaultdict(list)
    for hour in history.hours:
        by_day[hour.hour.date()].append(hour)
    shown = days[-DAYS_SHOWN:]
    return [
        _draw_hours(history.hours, now),
        _draw_bytes(shown, by_day),
        _draw_success(shown, by_day),
        _draw_store(days, by_day, history.held_now_bytes, free_bytes),
    ]


def _draw_hours(hours: Sequence[HourOfState], now: datetime) -> DayChart:
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    counts: dict[datetime, Counter[str]] = defaultdict(Counter)
    for each in hours:
        if each.hour >= first:
            counts[each.hour][each.state] += each.records
    columns = [
        (f"{hour:%H:%M}", counts[hour])
        for hour in (first + timedelta(hours=number) for number in range(HOURS))
    ]
    total = sum(sum(parts.values()) for _, parts in columns)
    words = _tell_states(sum((parts for _, parts in columns), Counter()))
    busiest = max(columns, key=lambda column: sum(column[1].values()))
    told = f"; most at {busiest[0]}, {sum(busiest[1].values())}" if total else ""
    return DayChart(
        "Records per hour",
        f"{group_digits(total)} in 24 h",
        draw_stacked_columns(columns, f"Records of the last 24 hours by state: {words}{told}"),
        (columns[0][0], columns[HOURS // 2][0], "now"),
        tell_as_table(
            ("Hour (UTC)", "Records", "Succeeded"),
            [
                (label, str(sum(parts.values())), str(sum(parts[state] for state in SUCCEEDED)))
                for label, parts in columns
            ],
        ),
        has_states=True,
    )


def _tell_states(counts: Mapping[str, int]) -> str:
    told = [
        f"{group_digits(counts[state])} {state.replace('_', ' ')}"
        for state in STACKED
        if counts.get(state)
    ]
    return ", ".join(told) or "none"


def _draw_bytes(days: Sequence[date], by_day: Mapping[date, Sequence[HourOfState]]) -> DayChart:
    sizes = [sum(each.bytes_transferred for each in by_day.get(day, ())) for day in days]
    files = [sum(each.files for each in by_day.get(day, ())) for day in days]
    told = [
        (_day(day), float(size), f"{size_words(size)}, {group_digits(count)} files")
        for day, size, count in zip(days, sizes, files, strict=True)
    ]
    top = max(range(len(days)), key=lambda number: sizes[number])
    words = (
        f"{size_words(sum(sizes))} in all, most on {_day(days[top])} with {size_words(sizes[top])}"
    )
    return DayChart(
        "Bytes per day",
        f"{size_words(sizes[-1])} today",
        draw_columns(told, f"Bytes fetched per day, {len(days)} days: {words}"),
        _axis(days),
        tell_as_table(
            ("Day", "Bytes", "Files"),
            [
                (_day(day), size_words(size), group_digits(count))
                for day, size, count in zip(days, sizes, files, strict=True)
            ],
        ),
    )


def _draw_success(days: Sequence[date], by_day: Mapping[date, Sequence[HourOfState]]) -> DayChart:
    rates = [_find_rate(by_day.get(day, ())) for day in days]
    known = [rate for rate in rates if rate is not None]
    bottom = min((*known, 90.0)) // 10 * 10 if known else 0.0
    bottom = min(bottom, 90.0)
    words = f"{min(known):.1f} to {max(known):.1f} percent" if known else "nothing ended"
    newest = f"{rates[-1]:.1f} % today" if rates[-1] is not None else "nothing ended today"
    return DayChart(
        "Success per day",
        newest,
        draw_line(
            rates,
            f"Share of records that succeeded per day, {len(days)} days: {words}",
            bottom=bottom,
        ),
        (_day(days[0]), f"{bottom:.0f} to 100 %", "today"),
        tell_as_table(
            ("Day", "Succeeded"),
            [
                (_day(day), "none ended" if rate is None else f"{rate:.1f} %")
                for day, rate in zip(days, rates, strict=True)
            ],
        ),
    )


def _find_rate(hours: Sequence[HourOfState]) -> float | None:
    ended = sum(each.records for each in hours if each.state in ENDED)
    if not ended:
        return None
    return 100 * sum(each.records for each in hours if each.state in SUCCEEDED) / ended


def _draw_store(
    days: Sequence[date],
    by_day: Mapping[date, Sequence[HourOfState]],
    held_now_bytes: int,
    free_bytes: int | None,
) -> DayChart:
    """Back from what is held now by what each day brought. What people rolled back or deleted moves the line as a
    whole."""
    grown = [sum(each.held_bytes for each in by_day.get(day, ())) for day in days]
    held: list[float] = [float(held_now_bytes)]
    for growth in reversed(grown[1:]):
        held.append(max(0.0, held[-1] - growth))
    held.reverse()
    a_day = sum(grown) / len(days)
    words = f"{size_words(held[0])} to {size_words(held[-1])}"
    return DayChart(
        "Store",
        f"{size_words(held_now_bytes)}{_tell_growth(a_day)}",
        draw_line(held, f"Size of the current versions, {len(days)} days: {words}"),
        (_day(days[0]), _tell_full(free_bytes, a_day), "today"),
        tell_as_table(
            ("Day", "Held"),
            [(_day(day), size_words(size)) for day, size in zip(days, held, strict=True)],
        ),
    )


def _tell_growth(a_day: float) -> str:
    if abs(a_day) < 1:
        return ""
    return f", {'+' if a_day > 0 else '-'}{size_words(abs(a_day))} a day"


def _tell_full(free_bytes: int | None, a_day: float) -> str:
    if free_bytes is None:
        return ""
    if a_day < 1 or free_bytes / a_day > 3650:
        return f"{size_words(free_bytes)} free"
    return f"full in about {group_digits(round(free_bytes / a_day))} days"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _axis(days: Sequence[date]) -> tuple[str, str, str]:
    return _day(days[0]), _day(days[len(days) // 2]), "today"
