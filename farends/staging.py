"""Makes folders in TMPDIR for programs that work for us. A folder ends with its transport. The sweep removes the
folder of a killed worker, because the folder may hold a key."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

STAGING_PREFIX = "syncproject-rsync-"
OLD_S = 24 * 3600.0


def sweep_staging(older_than_s: float = OLD_S) -> int:
    """Removes this user's folders in which nothing has happened for so long; returns their count."""
    removed = 0
    latest = time.time() - older_than_s
    for folder in Path(tempfile.gettempdir()).glob(f"{STAGING_PREFIX}*"):
        try:
            found = folder.lstat()
        except FileNotFoundError:
            continue
        if found.st_uid == os.geteuid() and found.st_mtime <= latest and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
