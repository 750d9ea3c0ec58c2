"""What a process holds that work must give back: threads and file descriptors."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_left_held() -> Iterator[None]:
    """No more at the end than at the beginning. Fewer are no matter: a thread of an earlier test may end
    meanwhile."""
    before = _held()
    yield
    after = _held()
    assert all(now <= was for now, was in zip(after, before, strict=True)), (before, after)


def _held() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 — a count, of no paths
