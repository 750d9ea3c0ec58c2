"""What a power cut takes away: the content of files that nobody has synced to disk.

`kill -9` loses nothing of the page cache, so the armed action `crash` empties those files first. Works
for the product as it is and for mutants alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.faults import failpoints

app = failpoints.app
_unsynced: dict[tuple[int, int], None] = {}  # by device and inode; a dictionary is safe to share


def _identify(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def mark_synced(path: str) -> None:
    status = Path(path).stat()
    _unsynced.pop((status.st_dev, status.st_ino), None)


def mark_all_synced() -> None:
    _unsynced.clear()


def _lose_unsynced() -> None:
    root = Path(os.environ["DATA_DIR"]) / "store"
    for path in root.glob("*/[bp]*/**/*"):
        status = path.stat()
        if path.is_file() and (status.st_dev, status.st_ino) in _unsynced:
            os.truncate(path, 0)


def install() -> None:
    from datasets import blobs

    create, fsync, sync_data = os.open, os.fsync, blobs._sync_data

    def open_noted(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        fd = create(path, flags, *args, **kwargs)
        if flags & os.O_CREAT and f"{os.sep}store{os.sep}" in str(path):
            _unsynced[_identify(fd)] = None
        return fd

    def fsync_noted(fd: Any) -> None:
        fsync(fd)
        _unsynced.pop(_identify(fd), None)

    def sync_data_noted(paths: Iterable[str]) -> None:
        several = list(paths)
        sync_data(several)
        for path in several:
            mark_synced(path)

    os.open, os.fsync, blobs._sync_data = open_noted, fsync_noted, sync_data_noted
    failpoints.before_crash.append(_lose_unsynced)


install()
