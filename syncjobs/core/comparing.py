"""Decides whether a listed file equals the held one.

Why equal times prove anything, and when they do not, is in docs/decisions/008.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_SECOND_NS = 1_000_000_000
_UNKNOWN_AHEAD_NS = 24 * 3600 * _SECOND_NS  # a zone mistaken for another, and more


class Comparison(StrEnum):
    """What has to be equal for a file to count as the held one."""

    MODIFIED = "modified"  # size and time, or a strong ETag
    CHECKSUM = "checksum"  # SHA-256, as the far end computes it or else of the bytes that it sends
    SIZE = "size"  # size alone: blind to a change that keeps it
    ETAG = "etag"  # a strong ETag; a file without one is fetched


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a listing tells of a file; None: it does not tell. `etag` is a strong validator."""

    size_bytes: int | None
    modified_ns: int | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class FarClock:
    """Between which times the far end's clock stands at a moment of ours."""

    earliest_ns: int
    latest_ns: int


@lru_cache(16)  # asked for every file, of the same moment
def far_clock(now_ns: int, skew_s: float | None, error_s: float) -> FarClock:
    """An unknown clock is taken for ours, but a time up to a day ahead may be that clock's now."""
    if skew_s is None:
        return FarClock(now_ns, now_ns + _UNKNOWN_AHEAD_NS)
    return FarClock(
        now_ns + round((skew_s - error_s) * _SECOND_NS),
        now_ns + round((skew_s + error_s) * _SECOND_NS),
    )


def is_settled(modified_ns: int | None, fetched_at: FarClock, precision_ns: int) -> bool:
    """Whether equal times will prove that the file did not change after this fetch.

    A file modified within the remote clock's own precision of the fetch may change again under the
    same time (git calls such an entry racy).
    """
    return modified_ns is not None and fetched_at.earliest_ns - modified_ns > 2 * precision_ns


def is_ahead(modified_ns: int | None, now: FarClock, precision_ns: int) -> bool:
    """Whether a time is in the far end's future: nothing that is written by now gets it."""
    return modified_ns is not None and modified_ns - now.latest_ns > 2 * precision_ns


def is_settling(modified_ns: int | None, now: FarClock, precision_ns: int, settle_s: float) -> bool:
    """Whether a file is so young by the far end's clock that it may still be being written."""
    if settle_s <= 0 or modified_ns is None or is_ahead(modified_ns, now, precision_ns):
        return False
    return now.earliest_ns - modified_ns < settle_s * _SECOND_NS


def same_times(one_ns: int | None, other_ns: int | None, precision_ns: int) -> bool:
    """Equal within what the remote can tell; an unknown time proves nothing."""
    if one_ns is None or other_ns is None:
        return False
    return one_ns == other_ns or one_ns // precision_ns == other_ns // precision_ns


def decide_equal(
    comparison: Comparison,
    listed: Fingerprint,
    held: Fingerprint,
    precision_ns: int,
    *,
    settled: bool,
) -> bool | None:
    """Whether the file is the held one; None where only its content can tell. `settled`: equal times
    prove something."""
    if None not in (listed.size_bytes, held.size_bytes) and listed.size_bytes != held.size_bytes:
        return False
    match comparison:
        case Comparison.CHECKSUM:
            return None
        case Comparison.SIZE:
            return listed.size_bytes is not None
        case Comparison.ETAG:
            return bool(listed.etag) and listed.etag == held.etag
        case Comparison.MODIFIED:
            return settled and proves_equal(listed, held, precision_ns)


def proves_equal(listed: Fingerprint, held: Fingerprint, precision_ns: int) -> bool:
    """Equal strong ETags prove it; else equal, known size and time do."""
    if listed.size_bytes is not None and listed.size_bytes != held.size_bytes:
        return False
    if listed.etag and held.etag:
        return listed.etag == held.etag
    return listed.size_bytes is not None and same_times(
        listed.modified_ns, held.modified_ns, precision_ns
    )


def is_stable(listed: Fingerprint, observed: Fingerprint, precision_ns: int) -> bool:
    """Whether what was seen at the transfer is what was listed; unknown fields do not contradict."""
    if None not in (listed.size_bytes, observed.size_bytes) and (
        listed.size_bytes != observed.size_bytes
    ):
        return False
    if listed.etag and observed.etag:
        return listed.etag == observed.etag
    if listed.modified_ns is None or observed.modified_ns is None:
        return True
    return same_times(listed.modified_ns, observed.modified_ns, precision_ns)
