"""On a process's PYTHONPATH: at SIGRTMIN+1 it hangs with the interpreter's lock held, for good.

A regular expression does that, as a row of a hostile host once did.
"""

from __future__ import annotations

import re
import signal
from types import FrameType


def hang(number: int, frame: FrameType | None) -> None:
    re.match(r"(a+)+$", "a" * 100 + "!")


signal.signal(signal.SIGRTMIN + 1, hang)
