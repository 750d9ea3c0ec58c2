"""Waiting for a condition, with a deadline: never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
BUSY = 3  # a busy machine takes so many times what a quiet one does


def until(look: Callable[[], T], complaint: str, *, within_s: float = 30.0) -> T:
    """The first true answer of `look`; fails with the complaint at the deadline. `within_s` is that of a quiet machine."""
    within_s *= BUSY
    deadline = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{complaint} within {within_s:.0f} s")
        time.sleep(0.05)


@contextmanager
def leaving_no_thread() -> Iterator[None]:
    """Fails where a thread that was started inside goes on. Others may end meanwhile."""
    before = set(threading.enumerate())
    yield
    until(lambda: not set(threading.enumerate()) - before, "a thread did not end", within_s=10)
