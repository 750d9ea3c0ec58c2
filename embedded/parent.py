"""The process that started the stack, where the stack is tied to its life: make.

GNU make passes SIGTERM on to its children, but a SIGINT that reaches make alone it does not: it lets go
of the signal and waits for them, for ever if they are servers. That it no longer catches the signal
can be seen from outside.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

from embedded.child import set_death_signal

_SIGINT_BIT = 1 << (signal.SIGINT - 1)


class Parent:
    """Makes the kernel send this process a SIGTERM when its parent ends."""

    def __init__(self) -> None:
        set_death_signal(signal.SIGTERM)
        self._pid = os.getppid()
        self._caught = self._catches_sigint()

    def was_interrupted(self) -> bool:
        """Whether it has had a SIGINT, as far as can be seen."""
        return self._caught and os.getppid() == self._pid and not self._catches_sigint()

    def _catches_sigint(self) -> bool:
        if sys.platform != "linux":
            return False
        try:
            status = Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8")
        except OSError:
            return False  # it ended: a SIGTERM is on its way
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) & _SIGINT_BIT)
