"""Whether a record that succeeded did much less or much more than its job usually does.

Usual is what lies between a third of the 5th and three times the 95th percentile of the job's latest successes. A record
that brings nothing is suspect too where at least half of these brought something. What is too small to mean anything is
not judged: durations below `DURATION_LEAST_S`, sizes below `BYTES_LEAST`. Where the job usually brings nothing, anything
may come: a source that seldom changes is not suspect when it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

SUSPECT = "suspect"  # the verdict
SUCCESSES_LEAST = 5  # fewer are no history
TIMES = 3
DURATION_LEAST_S = 10.0
BYTES_LEAST = 256


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one record did. `count` is of files that came, or of rows that were read; `duration_s` of None: it waited in
    between, which says nothing of its work."""

    count: int
    size_bytes: int
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Usual:
    """The bounds of what is usual, and what made them."""

    low: float
    high: float
    middle: float

    def find_outside(self, amount: float, *, least: float = 0) -> bool:
        """`least`: where neither the amount nor what is usual reaches it, nothing is said."""
        if max(amount, self.high) < least or self.high == 0:
            return False
        too_little = amount < self.low / TIMES and self.low >= least
        too_much = amount > self.high * TIMES and amount >= least
        return too_little or too_much


def find_suspicion(now: Amounts, past: Sequence[Amounts], *, noun: str) -> str:
    """Says in words what is unusual; empty where nothing is. `noun` is what `count` counts."""
    if len(past) < SUCCESSES_LEAST:
        return ""
    found = []
    counts = _find_usual([one.count for one in past])
    if counts.find_outside(now.count) or (now.count == 0 and counts.middle > 0):
        found.append(_tell(f"{now.count:,} {noun}", f"{counts.low:,.0f}", f"{counts.high:,.0f}"))
    sizes = _find_usual([one.size_bytes for one in past])
    if sizes.find_outside(now.size_bytes, least=BYTES_LEAST):
        found.append(_tell(f"{now.size_bytes:,} bytes", f"{sizes.low:,.0f}", f"{sizes.high:,.0f}"))
    durations = [one.duration_s for one in past if one.duration_s is not None]
    if now.duration_s is not None and len(durations) >= SUCCESSES_LEAST:
        spans = _find_usual(durations)
        if spans.find_outside(now.duration_s, least=DURATION_LEAST_S):
            found.append(
                _tell(f"{now.duration_s:,.0f} s", f"{spans.low:,.0f}", f"{spans.high:,.0f}")
            )
    return f"unusual for this job: {'; '.join(found)}" if found else ""


def _tell(amount: str, low: str, high: str) -> str:
    return f"{amount}, where {low if low == high else f'{low} to {high}'} is usual"


def _find_usual(amounts: Sequence[float]) -> _Usual:
    """Percentiles by nearest rank."""
    ranked = sorted(amounts)
    low, high = (ranked[max(1, math.ceil(share * len(ranked))) - 1] for share in (0.05, 0.95))
    return _Usual(low, high, median(ranked))
