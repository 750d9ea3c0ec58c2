"""What a folder tree is at one moment, so that a test can say that nothing in it changed."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_BLOB = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}\.pack")


def snapshot(*roots: Path, without: Path | None = None) -> dict[str, tuple[int, int, int]]:
    """Type and mode, size and modification time by path, without what lies below `without`."""
    found = {}
    todo = [str(root) for root in roots]
    while todo:
        path = todo.pop()
        if without is not None and path == str(without):
            continue
        looked = os.lstat(path)
        found[path] = (looked.st_mode, looked.st_size, looked.st_mtime_ns)
        if stat.S_ISDIR(looked.st_mode):
            todo.extend(f"{path}/{name}" for name in os.listdir(path))  # noqa: PTH208 — fast
    return found


def strange_in_store(root: Path) -> list[str]:
    """What a store never holds: other than folders and regular files of mode 0644, one link each,
    named by their digest or as a pack."""
    strange = []
    for path, (mode, _, _) in snapshot(root).items():
        plain = stat.S_ISREG(mode) and stat.S_IMODE(mode) == 0o644 and os.lstat(path).st_nlink == 1
        named = _BLOB.fullmatch(path.rpartition("/")[2]) or Path(path).parent == root
        if not (stat.S_ISDIR(mode) or (plain and named)):
            strange.append(f"{path} {mode:o}")
    return strange
