"""How a subject stands under a rule, and what is told when that changes. Pure: values and times in, values out.

An alert opens and recovers; each is told once. One that has changed `FLAPPING_CHANGES` times within `FLAPPING_S` is
flapping: the last of these changes is told as that, nothing more until it has stood for `STEADY_S`, and then how it
settled. While a person silences it nothing is told. If it fires when the silence ends, that is told; what it did
meanwhile is not.

Times are those of what happened, and not of the look at it: a log that is read late gives the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from alerts.core.words import Tell

FLAPPING_CHANGES = 4
FLAPPING_S = 600
STEADY_S = 600


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one subject under one rule. `changes` are those that may make it flap."""

    firing: bool = False
    bad_in_a_row: int = 0
    flapping: bool = False
    changes: tuple[datetime, ...] = ()
    occurrences: int = 0  # bad ones since it opened
    opened_at: datetime | None = None
    last_seen_at: datetime | None = None  # bad
    resolved_at: datetime | None = None
    silenced_until: datetime | None = None

    def is_silenced(self, at: datetime) -> bool:
        return self.silenced_until is not None and at < self.silenced_until


@dataclass(frozen=True, slots=True)
class Telling:
    """What is to be told, and how the subject stood at that moment."""

    tell: Tell
    standing: Standing


@dataclass(frozen=True, slots=True)
class Step:
    """How the subject stands now, and what was to be told on the way there, in order."""

    standing: Standing
    told: tuple[Telling, ...] = ()


def see_bad(standing: Standing, at: datetime, *, needed: int = 1) -> Step:
    """Something bad happened; the alert opens with the one that makes `needed` in a row."""
    at = _in_order(standing, at)
    passed = pass_time(standing, at)
    standing = passed.standing
    in_a_row = standing.bad_in_a_row + 1
    standing = replace(standing, bad_in_a_row=in_a_row, last_seen_at=at)
    if standing.firing:
        return Step(replace(standing, occurrences=standing.occurrences + 1), passed.told)
    if in_a_row < needed:
        return Step(standing, passed.told)
    opened = replace(standing, firing=True, occurrences=in_a_row, opened_at=at, resolved_at=None)
    return _change(opened, at, Tell.OPENED, passed.told)


def see_good(standing: Standing, at: datetime) -> Step:
    """What was bad is good again, or was so all the time."""
    at = _in_order(standing, at)
    passed = pass_time(standing, at)
    standing = replace(passed.standing, bad_in_a_row=0)
    if not standing.firing:
        return Step(standing, passed.told)
    return _change(replace(standing, firing=False, resolved_at=at), at, Tell.RECOVERED, passed.told)


def pass_time(standing: Standing, now: datetime) -> Step:
    """Nothing happened until now but time: a silence ends, and what was flapping has settled."""
    told: list[Telling] = []
    settles_at = _find_settling(standing)
    if settles_at is not None and settles_at <= now and standing.is_silenced(settles_at):
        standing, settles_at = _settle(standing), None
    if standing.silenced_until is not None and standing.silenced_until <= now:
        standing = replace(standing, silenced_until=None)
        if standing.firing:
            told.append(Telling(Tell.STILL_FIRING, standing))
    if settles_at is not None and settles_at <= now:
        standing = _settle(standing)
        told.append(Telling(Tell.SETTLED, standing))
    return Step(standing, tuple(told))


def close_quietly(standing: Standing, at: datetime) -> Standing:
    """Nobody looks at it any more, so that nobody can say that it recovered."""
    resolved_at = at if standing.firing else standing.resolved_at
    return replace(
        standing, firing=False, bad_in_a_row=0, flapping=False, changes=(), resolved_at=resolved_at,
        silenced_until=None,
    )  # fmt: skip


def _change(standing: Standing, at: datetime, tell: Tell, before: tuple[Telling, ...]) -> Step:
    window = timedelta(seconds=FLAPPING_S)
    recent = tuple(change for change in standing.changes if at - change <= window)
    standing = replace(standing, changes=(*recent, at))
    if standing.flapping or standing.is_silenced(at):
        return Step(standing, before)
    if len(standing.changes) >= FLAPPING_CHANGES:
        standing, tell = replace(standing, flapping=True), Tell.FLAPPING
    return Step(standing, (*before, Telling(tell, standing)))


def _in_order(standing: Standing, at: datetime) -> datetime:
    """Events are told in the order of their ids, and dated by when their transactions began."""
    return max(at, standing.changes[-1]) if standing.changes else at


def _find_settling(standing: Standing) -> datetime | None:
    if not standing.flapping:
        return None
    return standing.changes[-1] + timedelta(seconds=STEADY_S)


def _settle(standing: Standing) -> Standing:
    return replace(standing, flapping=False, changes=())
