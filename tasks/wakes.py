"""Wakes the next record after one has ended, if no message in Redis would do so. Those who finish while
another rings leave it to that one: under load one question to the database serves many."""

from __future__ import annotations

import threading

from syncjobs.queueing.ringing import take_to_ring
from tasks.bells import count_bells, ring

_ringing = threading.Lock()
_counting = threading.Lock()
_finished = 0


def wake_next() -> None:
    """Rings for as many records as have finished in this process since somebody last rang."""
    _add(1)
    while _pending() and _ringing.acquire(blocking=False):
        try:
            if (count := _take()) and count_bells() == 0:
                ring(take_to_ring(count, ring_again_s=1))
        finally:
            _ringing.release()


def _add(count: int) -> None:
    global _finished
    with _counting:
        _finished += count


def _take() -> int:
    global _finished
    with _counting:
        taken, _finished = _finished, 0
    return taken


def _pending() -> bool:
    with _counting:
        return _finished > 0
