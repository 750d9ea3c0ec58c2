"""Named points at which a developer may have the worker killed, to see that nothing is lost (SYNC_FAILPOINT).

`rows.staged` kills at the first pass of that point, `rows.staged:3` at the third. Only where DEBUG is on.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

from django.conf import settings

FENCED, READ, STAGED = "rows.fenced", "rows.read", "rows.staged"
BEFORE_COMMIT, AFTER_COMMIT = "rows.before_commit", "rows.after_commit"

_passed: Counter[str] = Counter()


def die_at(point: str) -> None:
    """Returns, unless the developer has named this point."""
    wanted = settings.SYNC.failpoint
    if not wanted or not settings.DEBUG:
        return
    name, _, nth = wanted.partition(":")
    if name == point:
        _passed[point] += 1
        if _passed[point] == int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
