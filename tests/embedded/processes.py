"""Which processes a stack has, seen from outside."""

from __future__ import annotations

import os
from pathlib import Path

from embedded import home


def left(data_dir: Path) -> set[int]:
    """Processes of that folder's stack: marked ones, and PostgreSQL, which overwrites the mark."""
    found = set(home.find_marked(data_dir))
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(data_dir) in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found
