"""What a host can do, as seen and not as told: how exact its times are, and all of it in words."""

from __future__ import annotations

import math
from datetime import timedelta

from farends.contract import Capabilities

SECOND_NS = 1_000_000_000
# Coarser clocks that exist: FAT counts two seconds, LIST of FTP and some index pages minutes.
_COARSE_NS = (60 * SECOND_NS, 2 * SECOND_NS, SECOND_NS)
_DISTINCT_MIN = 20  # this many times, all even by chance, are one case in a million


class TimesSeen:
    """Whether all times of a listing are multiples of something coarser than the protocol's unit."""

    def __init__(self) -> None:
        self._divisor = 0
        self._distinct: set[int] = set()

    def note(self, modified_ns: int | None) -> None:
        if modified_ns is None:
            return
        self._divisor = math.gcd(self._divisor, modified_ns)
        if len(self._distinct) <= _DISTINCT_MIN:
            self._distinct.add(modified_ns)

    def coarsest(self, told_ns: int) -> int:
        """The precision to lean on; as told where too few different times were seen."""
        if len(self._distinct) <= _DISTINCT_MIN:
            return told_ns
        seen = next((unit for unit in _COARSE_NS if self._divisor % unit == 0), 0)
        return max(told_ns, seen)


def describe_capabilities(told: Capabilities) -> list[tuple[str, str]]:
    """What this host can do, as pairs of a title and words."""
    zone = told.list_zone_s
    facts = [
        ("Software", told.server_software or "does not say"),
        ("Times", _times_words(told)),
        ("Clock", _clock_words(told)),
        ("Parts of files", _ranges_words(told)),
        ("Digests", f"computes SHA-256 ({told.digests})" if told.digests else "not seen so far"),
    ]
    if zone is not None:
        hours, minutes = divmod(abs(zone) // 60, 60)
        words = f"UTC{'-' if zone < 0 else '+'}{hours}:{minutes:02d}; not leaned on, MDTM is asked"
        facts.append(("Zone of LIST", words))
    return facts


def _times_words(told: Capabilities) -> str:
    precision_ns = told.modified_precision_ns
    if not told.tells_times:
        return "not told by this protocol"
    if precision_ns < SECOND_NS:
        return f"exact to {precision_ns / 1e6:g} ms"
    return f"exact to {precision_ns // SECOND_NS} s"


def _clock_words(told: Capabilities) -> str:
    if told.clock_skew_s is None:
        return "not told by this protocol; taken for right"
    if abs(told.clock_skew_s) <= told.clock_error_s:
        return "right"
    span = timedelta(seconds=round(abs(told.clock_skew_s)))
    return f"{span} {'ahead' if told.clock_skew_s > 0 else 'behind'}"


def _ranges_words(told: Capabilities) -> str:
    if not told.ranges:
        return "cannot be asked for; a cut file is fetched from its start"
    return "can be asked for" if told.ranges_tried else "can be asked for, it says; not tried yet"
