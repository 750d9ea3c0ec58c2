"""What a process holds that work must give back: threads and file descriptors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import until


@contextmanager
def nothing_left_held() -> Iterator[None]:
    """Soon after the end nothing is held that was not at the beginning: a host in this process needs a moment to see
    that its client has gone. What an earlier test left may end meanwhile."""
    threads, opened = set(threading.enumerate()), _opened()
    yield
    until(lambda: not set(threading.enumerate()) - threads, "a thread is left")
    until(lambda: not _opened() - opened, "a descriptor is left")


def _opened() -> set[tuple[str, Path]]:
    """Descriptors, and what each is of: a number alone may be another's by now."""
    found = set()
    for name in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.add((name.name, name.readlink()))
    return found
