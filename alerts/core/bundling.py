"""Which moves of alerts make one message, what is said of each alert, and what waits for a digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.core.words import Severity, Tell

NAMED_MAX = 50  # alerts of one message; the others are counted
HOUR = timedelta(hours=1)
# More moves than this within so many seconds are a flood, whose critical alerts come in groups as well.
FLOOD_COUNT, FLOOD_S = 5, 10.0
SPACED_S = 2.0  # between messages that wait for no group, so that a flood is seen before it is sent one by one

_RECOVERIES = frozenset({Tell.RECOVERED, Tell.OPENED_AND_RECOVERED})


@dataclass(frozen=True, slots=True)
class WaitingAlert:
    """What waits for a channel of one alert: the tells in their order, and the number of the newest notification."""

    tells: tuple[Tell, ...]
    severity: Severity
    newest: int


@dataclass(frozen=True, slots=True)
class ChannelLoad:
    """What decides whether a channel may be sent something now. `recent_count`: moves of the last FLOOD_S seconds; the
    hour is the one before `due_at`."""

    due_at: datetime  # of what is due first
    has_due_group: bool  # other than critical alerts, which wait for no group
    recent_count: int
    group_s: int
    most_per_hour: int
    last_made_at: datetime | None
    made_in_hour: int
    oldest_in_hour_at: datetime | None


@dataclass(frozen=True, slots=True)
class MessageTime:
    """When a message is made; `is_digest`: the hour was full, so that it only counts."""

    at: datetime
    is_digest: bool = False


def plan_message(load: ChannelLoad) -> MessageTime:
    """What finds the hour full waits until the oldest message of it is an hour old."""
    at = load.due_at
    if not load.has_due_group and load.last_made_at is not None:
        is_flood = load.recent_count > FLOOD_COUNT
        wait_s = max(SPACED_S, load.group_s) if is_flood else SPACED_S
        at = max(at, load.last_made_at + timedelta(seconds=wait_s))
    if load.made_in_hour >= load.most_per_hour and load.oldest_in_hour_at is not None:
        return MessageTime(max(at, load.oldest_in_hour_at + HOUR), is_digest=True)
    return MessageTime(at)


def combine_tells(tells: Sequence[Tell]) -> Tell:
    """What is said of an alert that moved several times while it waited: the last, or that it came and went."""
    first, last = tells[0], tells[-1]
    if first is Tell.OPENED and last is Tell.RECOVERED:
        return Tell.OPENED_AND_RECOVERED
    if first is Tell.OPENED and last is Tell.STILL_FIRING:
        return Tell.OPENED
    return last


def order_alerts(waiting: Sequence[WaitingAlert]) -> list[WaitingAlert]:
    """What matters most comes first: what fires before what is over, then by severity, then the oldest."""
    return sorted(
        waiting,
        key=lambda one: (
            combine_tells(one.tells) in _RECOVERIES,
            -one.severity.rank,
            one.newest,
        ),
    )


def choose_type(tells: Sequence[tuple[Tell, str]]) -> str:
    """The `type` of a message about alerts, each with its tell and state."""
    if any(tell is Tell.OPENED for tell, _ in tells):
        return "failure"
    if tells and all(
        tell in _RECOVERIES or (tell is Tell.SETTLED and state != "firing") for tell, state in tells
    ):
        return "success"
    return "warning"
