"""How much memory this process took at most while a block ran."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 0.01
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


@dataclass
class Growth:
    peak_bytes: int = 0


@contextlib.contextmanager
def rss_growth() -> Iterator[Growth]:
    """Looked at many times a second, for the kernel's own peak never falls again."""
    gc.collect()
    growth, over = Growth(), threading.Event()
    before = rss_bytes()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            growth.peak_bytes = max(growth.peak_bytes, rss_bytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        over.set()
        watcher.join()
        growth.peak_bytes = max(growth.peak_bytes, rss_bytes() - before)
