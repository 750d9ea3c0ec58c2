"""What a process holds that work must give back: threads and file descriptors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def nothing_left_held() -> Iterator[None]:
    """At the end nothing is held that was not at the beginning. What an earlier test left may end meanwhile."""
    threads, opened = set(threading.enumerate()), _opened()
    yield
    assert set(threading.enumerate()) - threads == set()
    assert _opened() - opened == set()


def _opened() -> set[tuple[str, Path]]:
    """Descriptors, and what each is of: a number alone may be another's by now."""
    found = set()
    for name in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.add((name.name, name.readlink()))
    return found
