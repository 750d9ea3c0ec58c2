"""What is known of a far end over time: the last checks, and the stretches of a day in which it was online. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

LOOKS_KEPT = 10


@dataclass(frozen=True, slots=True)
class HostCheck:
    """One check. `error` is empty where the far end answered, after `took_ms`."""

    at: datetime
    took_ms: int
    error: str = ""


def add_look(kept: Sequence[Any], look: HostCheck) -> list[dict[str, Any]]:
    """The last checks as they are stored, with this one at the end."""
    stored = {"at": look.at.isoformat(), "took_ms": look.took_ms, "error": look.error[:500]}
    return [*kept, stored][-LOOKS_KEPT:]


def read_looks(stored: Iterable[Any]) -> list[HostCheck]:
    """Oldest first."""
    return [
        HostCheck(datetime.fromisoformat(each["at"]), each["took_ms"], each["error"])
        for each in stored
    ]


class HostStretch(StrEnum):
    """What was the case for some time."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"  # nothing was heard yet
    UNWATCHED = "unwatched"  # checks were switched off, or the connector paused


@dataclass(frozen=True, slots=True)
class HostSpan:
    """From `begins_at` until before `ends_at`. `reason` is of what was offline."""

    stretch: HostStretch
    begins_at: datetime
    ends_at: datetime
    reason: str = ""

    @property
    def length_s(self) -> float:
        return (self.ends_at - self.begins_at).total_seconds()


@dataclass(frozen=True, slots=True)
class HostTurn:
    """At this moment the state, or whether anybody watches, became another; None: that did not change."""

    at: datetime
    stretch: HostStretch | None = None
    reason: str = ""
    watched: bool | None = None


def lay_spans(turns: Iterable[HostTurn], begins_at: datetime, ends_at: datetime) -> list[HostSpan]:
    """What was the case between the two moments, oldest first and without gaps. Before its first turn nothing is known. A
    far end that nobody watches is not known to be online or offline, until it is watched again."""
    spans: list[HostSpan] = []
    stretch, reason, watched = HostStretch.UNKNOWN, "", True
    at = begins_at
    for turn in sorted(turns, key=lambda each: each.at):
        if turn.at > at:
            _add_span(
                spans,
                stretch if watched else HostStretch.UNWATCHED,
                at,
                min(turn.at, ends_at),
                reason,
            )
            at = turn.at
        if turn.stretch is not None:
            stretch, reason = turn.stretch, turn.reason
        watched = watched if turn.watched is None else turn.watched
    _add_span(spans, stretch if watched else HostStretch.UNWATCHED, at, ends_at, reason)
    return spans


def _add_span(
    spans: list[HostSpan], stretch: HostStretch, begins_at: datetime, ends_at: datetime, reason: str
) -> None:
    if ends_at <= begins_at:
        return
    told = reason if stretch is HostStretch.OFFLINE else ""
    if spans and (spans[-1].stretch, spans[-1].reason) == (stretch, told):
        begins_at = spans.pop().begins_at
    spans.append(HostSpan(stretch, begins_at, ends_at, told))


def measure_uptime(spans: Iterable[HostSpan]) -> float | None:
    """The share of the known time in which it was online; None where nothing is known."""
    online_s = known_s = 0.0
    for span in spans:
        if span.stretch in (HostStretch.ONLINE, HostStretch.OFFLINE):
            known_s += span.length_s
            online_s += span.length_s if span.stretch is HostStretch.ONLINE else 0.0
    return online_s / known_s if known_s else None
