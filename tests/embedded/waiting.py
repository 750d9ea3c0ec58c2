"""Waiting for a fact, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")


def until(find: Callable[[], Fact], what: str, timeout_s: float = 30.0) -> Fact:
    """The first true answer of `find`; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (fact := find()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:g} s there was still not: {what}")
        time.sleep(0.02)
    return fact
