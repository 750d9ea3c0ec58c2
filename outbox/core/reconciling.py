"""Digests of hours: read, added up, and compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from outbox.core.images import KEYS_SUM_MODULUS

ITEMS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class HourDigest:
    """How many readings, and the sum of their keys' hashes modulo 2^64."""

    hour: datetime
    count: int
    keys_sum: int

    @property
    def is_empty(self) -> bool:
        return self.count == 0 and self.keys_sum == 0


def read_digests(said: object) -> dict[datetime, HourDigest]:
    """By hour, of `{"items": [{"hour", "count", "keys_sum"}]}`. Raises ValueError."""
    items = said.get("items") if isinstance(said, dict) else None
    if not isinstance(items, list) or len(items) > ITEMS_MAX:
        raise ValueError("no object with a list of items")
    read = [_read(item) for item in items]
    return {digest.hour: digest for digest in read}


def _read(item: object) -> HourDigest:
    if not isinstance(item, dict):
        raise ValueError("an item is no object")  # noqa: TRY004 — one kind of refusal
    try:
        hour = datetime.fromisoformat(str(item["hour"]))
        count, total = int(item["count"]), int(item["keys_sum"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError("an item needs hour, count and keys_sum") from None
    hour = hour.replace(tzinfo=UTC) if hour.tzinfo is None else hour.astimezone(UTC)
    return HourDigest(hour, count, total % KEYS_SUM_MODULUS)


def add_up(one: HourDigest, other: HourDigest, *, sign: int = 1) -> HourDigest:
    total = (one.keys_sum + sign * other.keys_sum) % KEYS_SUM_MODULUS
    return HourDigest(one.hour, one.count + sign * other.count, total)


def subtract(digest: HourDigest, hashes: Iterable[int]) -> HourDigest:
    found = list(hashes)
    return add_up(digest, HourDigest(digest.hour, len(found), sum(found)), sign=-1)


def find_differing_hours(
    ours: Sequence[HourDigest], theirs: Mapping[datetime, HourDigest]
) -> list[HourDigest]:
    """Our hours, of those that the client system lacks something of. What it took in a later hour than it came
    here is no difference: the hours between are added up until the sums meet. An hour of which it has more than came
    lacks nothing, unless one before it does."""
    known = {digest.hour: digest for digest in ours}
    differing: list[HourDigest] = []
    difference: HourDigest | None = None
    for hour in sorted({*known, *theirs}):
        nothing = HourDigest(hour, 0, 0)
        mine, told = known.get(hour, nothing), theirs.get(hour, nothing)
        if mine == told:
            continue
        step = add_up(mine, told, sign=-1)
        difference = step if difference is None else add_up(difference, step)
        if hour in known and (step.count >= 0 or difference.count > 0):
            differing.append(mine)
        if difference.is_empty:
            differing, difference = [], None
    return differing if difference is not None else []
