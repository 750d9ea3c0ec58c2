"""Is the cost of a function of text linear in its length? Told by CPU time, against a pass over the same text.

No wall time is asked: a loaded machine changes nothing. What explodes is cut off by a timer of CPU time, and
counts as what it had cost by then.
"""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

Text = TypeVar("Text", str, bytes)

BYTES = 4_096  # half of what is tried at most
CHEAP = 12  # passes over the text: what costs no more is fine, whatever its growth
GROWTH = 3.0  # from n to 2n; linear is 2, quadratic 4
DEAR = 1_500  # passes: what costs so much is not fine, whatever its growth
_TRIES = 4


class TooDear(BaseException):
    """CPU time is used up. No Exception, so that no parser takes it for an error of the text."""


class Pace:
    """Of this machine at this moment: what a pass over a text costs."""

    def __init__(self) -> None:
        text = b"a" * (2 * BYTES)
        self._least_s = min(_cpu_s(_pass_over, text, 60) for _ in range(5))

    def find_cost(self, run: Callable[[Text], object], make: Callable[[int], Text]) -> str | None:
        """What is wrong with the cost of `run`, None where it is linear and small."""
        short, long = make(BYTES), make(2 * BYTES)
        dear_s = self._least_s * DEAR
        try:
            if _cpu_s(run, long, dear_s) <= self._least_s * CHEAP:
                return None
            # The best of several: what the machine does beside it only adds.
            for _ in range(_TRIES):
                cost_s, half_s = _cpu_s(run, long, dear_s), _cpu_s(run, short, dear_s)
                if cost_s <= max(half_s * GROWTH, self._least_s * CHEAP):
                    return None
        except TooDear:
            return f"{2 * BYTES} characters cost over {DEAR} passes"
        return f"twice the text costs {cost_s / half_s:.1f} times as much, {cost_s:.3f} s"


def find_cost(run: Callable[[Text], object], make: Callable[[int], Text]) -> str | None:
    return Pace().find_cost(run, make)


def _cpu_s(run: Callable[[Text], object], text: Text, limit_s: float) -> float:
    def end(number: int, frame: FrameType | None) -> None:
        raise TooDear

    # A collection looks at all that the process holds, and what is raised within one is lost.
    collects = gc.isenabled()
    gc.disable()
    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    began = time.thread_time()
    try:
        run(text)
    finally:
        cost_s = time.thread_time() - began
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if collects:
            gc.enable()
    return cost_s


def _pass_over(text: Text) -> int:
    count = 0
    for letter in text:
        count += letter == text
    return count
