"""Quiet hours as people write them: `HH:MM-HH:MM`, on the clock of the channel's zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time

QUIET_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"
_WRITTEN = re.compile(QUIET_PATTERN.removesuffix("$"))


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A stretch of each day; an end before the beginning lies on the next day."""

    begin: time
    end: time


def parse_quiet_hours(text: str) -> QuietHours | None:
    """None for an empty text: no hour is quiet. Raises ValueError."""
    if not text:
        return None
    if not _WRITTEN.fullmatch(text):
        raise ValueError('give "HH:MM-HH:MM", such as "22:00-07:00"')
    begin, _, end = text.partition("-")
    if begin == end:
        raise ValueError("the hours must begin and end at different times")
    return QuietHours(time.fromisoformat(begin), time.fromisoformat(end))
