"""Decides which versions of a dataset are kept.

Each rule says what it keeps, and a version that one of them keeps stays. Versions go from the oldest on, so those that stay
are always all from one number on: what lies between two of them can be read, compared and gone back to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

ALWAYS_KEPT = 2  # the current version, and the one before it


@dataclass(frozen=True, slots=True)
class KeepRule:
    """What a person says. None: that rule is not set. Without any, and with `versions` of 0, every version is kept."""

    versions: int | None = None
    days: int | None = None
    size_bytes: int | None = None  # that only older versions than the current one need

    @property
    def is_set(self) -> bool:
        return (self.versions, self.days, self.size_bytes) != (None, None, None)

    @property
    def keeps_all(self) -> bool:
        return not self.is_set or self.versions == 0


KEEP_ALL = KeepRule()


@dataclass(frozen=True, slots=True)
class HeldVersion:
    """A version that is kept now. `superseded_at` is when a newer one took its place; None: it is current."""

    number: int
    superseded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rest:
    """Something still rests on a version: it and all after it stay. `reason` is a sentence about it."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class KeepDecision:
    """All versions from `oldest` on stay; the numbers in `going` go. `held_back` is what keeps versions that no rule
    keeps."""

    oldest: int | None = None
    going: tuple[int, ...] = ()
    held_back: Rest | None = None


def choose_rule(own: KeepRule, workspace: KeepRule) -> KeepRule:
    """A job that says something about its versions says all."""
    return own if own.is_set else workspace


def decide_kept(
    versions: Sequence[HeldVersion],
    rule: KeepRule,
    now: datetime,
    *,
    freed_bytes: Mapping[int, int],
    rests: Iterable[Rest] = (),
) -> KeepDecision:
    """`versions` come newest first, from the current one on. `freed_bytes` says how many bytes are needed no longer once
    all versions below a number are gone, and were needed before; numbers that free nothing may be left out."""
    if not versions:
        return KeepDecision()
    by_rule = versions[_count_kept(versions, rule, now, freed_bytes) - 1].number
    lowest = min(rests, key=lambda rest: rest.number, default=None)
    oldest, held_back = by_rule, None
    if lowest is not None and lowest.number < by_rule:
        # The version itself may have gone already, or have been of a dataset that was deleted.
        oldest = min(one.number for one in versions if one.number >= lowest.number)
        held_back = lowest if oldest < by_rule else None
    going = tuple(sorted(one.number for one in versions if one.number < oldest))
    return KeepDecision(oldest, going, held_back)


def _count_kept(
    versions: Sequence[HeldVersion], rule: KeepRule, now: datetime, freed_bytes: Mapping[int, int]
) -> int:
    """So many of the newest."""
    if rule.keeps_all:
        return len(versions)
    kept = max(ALWAYS_KEPT, rule.versions or 0)
    if rule.days is not None:
        since = now - timedelta(days=rule.days)
        while kept < len(versions) and _is_younger(versions[kept], since):
            kept += 1
    if rule.size_bytes is not None:
        kept = max(kept, _count_within(versions, rule.size_bytes, freed_bytes))
    return min(kept, len(versions))


def _is_younger(version: HeldVersion, since: datetime) -> bool:
    return version.superseded_at is None or version.superseded_at >= since


def _count_within(
    versions: Sequence[HeldVersion], most_bytes: int, freed_bytes: Mapping[int, int]
) -> int:
    """How many of the newest need no more than that beside the current one."""
    waiting = sorted(freed_bytes.items())  # the highest number comes off first
    needed = 0
    for at, older in enumerate(versions[1:], start=1):
        while waiting and waiting[-1][0] > older.number:
            needed += waiting.pop()[1]
        if needed > most_bytes:
            return at
    return len(versions)
