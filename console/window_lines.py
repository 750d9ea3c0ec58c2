"""Windows and blackouts as lines that a person types, to and from their written form.

`mon-fri 22:00-06:00 Europe/Berlin` is a window: days (without: every day), times, zone (without: UTC).
`2026-12-24 18:00 - 2026-12-27 06:00 Europe/Berlin  Christmas` is one stretch, with a reason if there is one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from timing.windows import DAYS, InvalidWindow, parse_blackouts, parse_windows

Written = dict[str, Any]

WINDOW_EXAMPLE = "mon-fri 22:00-06:00 Europe/Berlin"
LINE_MAX = 300
PERIOD_EXAMPLE = "2026-12-24 18:00 - 2026-12-27 06:00 Europe/Berlin  Christmas"

_DASH = r"\s*(?:-|\u2013|\bto\b)\s*"
_CLOCK = r"(\d{1,2}:\d\d)"
_WINDOW = re.compile(rf"(?P<days>[^\d]*?)\s*{_CLOCK}{_DASH}{_CLOCK}(?:\s+(?P<zone>\S+))?", re.I)
_MOMENT = r"(\d{4}-\d\d-\d\d)[ T]+(\d{1,2}:\d\d)(?::00)?\s*(Z|[+-]\d\d:?\d\d)?"
_PERIOD = re.compile(rf"{_MOMENT}{_DASH}{_MOMENT}(?:\s+(?P<rest>.*))?", re.I)


class InvalidLine(ValueError):
    """The message names the line and says what is wrong in it."""


def read_windows(text: str) -> list[Written]:
    """Raises InvalidLine."""
    return _read(text, _read_window, parse_windows)


def read_blackouts(text: str) -> list[Written]:
    """Raises InvalidLine."""
    return _read(text, _read_blackout, parse_blackouts)


def write_lines(written: Iterable[Mapping[str, Any]]) -> str:
    """The lines that say the same. Raises InvalidWindow where the written form says nothing."""
    given = [dict(item) for item in written]
    parse_blackouts(given)
    return "\n".join(_line_of(item) for item in given)


def _read(
    text: str, read: Callable[[str], Written], parse: Callable[[Any], object]
) -> list[Written]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if len(line) > LINE_MAX:  # also because what reads it is not made for more
            raise InvalidLine(f"Line {number} is longer than {LINE_MAX} characters.")
        try:
            found.append(read(line.strip()))
            parse(found[-1:])
        except InvalidWindow as exc:
            raise InvalidLine(f"Line {number}: {_sentence(exc)}") from None
    try:
        parse(found)
    except InvalidWindow as exc:
        raise InvalidLine(_sentence(exc)) from None
    return found


def _sentence(problem: Exception) -> str:
    words = str(problem)
    return words if words.endswith("?") else f"{words}."


def _read_window(line: str) -> Written:
    match = _WINDOW.fullmatch(line)
    if match is None:
        if re.match(r"\d{4}-\d", line):
            raise InvalidWindow("a date belongs to the blackouts; a window repeats every week")
        raise InvalidWindow(f"write it such as {WINDOW_EXAMPLE}")
    days, start, end, zone = match.groups()
    written: Written = {"from": _clock(start), "to": _clock(end, ends=True)}
    if len(chosen := _read_days(days)) < len(DAYS):
        written = {"days": [DAYS[day] for day in chosen], **written}
    return {**written, "timezone": _zone(zone) if zone else "UTC"}


def _read_blackout(line: str) -> Written:
    if not re.match(r"\d{4}", line):
        return _read_window(line)
    match = _PERIOD.fullmatch(line)
    if match is None:
        raise InvalidWindow(f"write it such as {PERIOD_EXAMPLE}, each with date and time")
    zone, reason = _split_zone(match["rest"] or "")
    since_day, since_at, since_offset, until_day, until_at, until_offset = match.groups()[:6]
    written = {
        "since": _moment(since_day, since_at, since_offset, zone),
        "until": _moment(until_day, until_at, until_offset, zone),
    }
    return {**written, "reason": reason} if reason else written


def _read_days(text: str) -> list[int]:
    if text.strip().lower() in ("", "daily", "every day"):
        return [*range(len(DAYS))]
    chosen: set[int] = set()
    for part in re.split(r"\s*,\s*|\s+", re.sub(_DASH, "-", text.strip())):
        first, dash, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if dash else begin
        chosen |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return sorted(chosen)


def _day(text: str) -> int:
    short = text.lower()[:3]
    whole = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    if short not in DAYS or not whole[DAYS.index(short)].startswith(text.lower()):
        near = difflib.get_close_matches(text.lower(), [*DAYS, *whole], n=1)
        hint = f"did you mean {near[0]}?" if near else f"days are {', '.join(DAYS)}"
        raise InvalidWindow(f"no day {text!r}; {hint}")
    return DAYS.index(short)


def _clock(text: str, *, ends: bool = False) -> str:
    hour, _, minute = text.partition(":")
    if ends and (int(hour), int(minute)) == (24, 0):
        return "00:00"
    if int(hour) > 23 or int(minute) > 59:
        raise InvalidWindow(f"no time {text}; times are 00:00 to 23:59")
    return f"{int(hour):02}:{minute}"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "use an IANA name such as Europe/Berlin"
        raise InvalidWindow(f"no time zone {name!r}; {hint}") from None
    return name


def _split_zone(rest: str) -> tuple[str, str]:
    """The zone, if the first word is one, and the reason. A word with a slash is meant as one."""
    first, _, reason = rest.strip().partition(" ")
    if "/" in first or first in ("UTC", "GMT"):
        return _zone(first), reason.strip()
    return "", rest.strip()


def _moment(day: str, at: str, offset: str | None, zone: str) -> str:
    try:
        local = datetime.fromisoformat(f"{day}T{_clock(at)}{(offset or '').upper()}")
    except ValueError as exc:
        if isinstance(exc, InvalidWindow):
            raise
        raise InvalidWindow(f"no date {day}") from None
    if local.tzinfo is None:
        local = local.replace(tzinfo=ZoneInfo(zone) if zone else UTC)
    return local.isoformat(timespec="minutes")


def _line_of(item: Mapping[str, Any]) -> str:
    if "since" in item:
        since, until = (_show(datetime.fromisoformat(item[name])) for name in ("since", "until"))
        reason = " ".join(str(item.get("reason", "")).split())
        return f"{since} - {until}{'  ' * bool(reason)}{reason}"
    (window,) = parse_windows([item])
    days = "" if len(window.days) == len(DAYS) else f"{_days_words(sorted(window.days))} "
    return f"{days}{window.start:%H:%M}-{window.end:%H:%M} {window.timezone}"


def _show(moment: datetime) -> str:
    """Shows a time with its offset from UTC: nothing else of the zone is kept."""
    known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    text = known.isoformat(" ", timespec="minutes")
    return text.replace("+00:00", "Z")


def _days_words(days: list[int]) -> str:
    """`mon-fri,sun`: three and more in a row are a stretch."""
    stretches: list[list[int]] = []
    for day in days:
        if stretches and stretches[-1][-1] == day - 1:
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return ",".join(
        f"{DAYS[found[0]]}-{DAYS[found[-1]]}"
        if len(found) > 2
        else ",".join(DAYS[day] for day in found)
        for found in stretches
    )
