"""The product's Celery application with named points at which a process can be made to die or stop.

`celery -A tests.faults.failpoints`: only the fault run starts it. A point does nothing until the run
puts a file with its name and the action into the folder FAULTS_ARMS, named as the process.

The action `crash` is a power cut: `kill -9` loses nothing of the page cache, so the content of every
blob and pack that this process has written and not synced to disk is taken away first.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from syncproject.celery import app

_ARM = Path(os.environ.get("FAULTS_ARMS", "/nonexistent")) / os.environ.get("FAULTS_PROCESS", "-")
_lock = threading.Lock()
_unsynced: dict[tuple[int, int], None] = {}  # by device and inode; a dictionary is safe to share

__all__ = ["app", "mark_all_synced"]


def reach(point: str) -> None:
    """Acts where the run has armed this point, once."""
    with _lock:
        try:
            armed, _, action = _ARM.read_text(encoding="ascii").partition(" ")
        except OSError:
            return
        if armed != point:
            return
        _ARM.unlink(missing_ok=True)
    if action == "crash":
        _lose_unsynced()
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


def around(owner: Any, name: str, *, before: str = "", after: str = "") -> None:
    """Puts points before and after a function of the product."""
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            reach(before)
        result = original(*args, **kwargs)
        if after and (result is not None or name == "settle"):
            reach(after)
        return result

    setattr(owner, name, wrapped)


def mark_all_synced() -> None:
    _unsynced.clear()


def _lose_unsynced() -> None:
    root = Path(os.environ["DATA_DIR"]) / "store"
    for path in root.glob("*/*/**/*"):
        if path.is_file() and _identify(path.stat()) in _unsynced:
            os.truncate(path, 0)


def _identify(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _watch_disk() -> None:
    """Notes what is written below the store and not yet synced."""
    from store import flushing

    create, fsync, sync_data = os.open, os.fsync, flushing.flush_all

    def open_noted(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        fd = create(path, flags, *args, **kwargs)
        if flags & os.O_CREAT and f"{os.sep}store{os.sep}" in str(path):
            _unsynced[_identify(os.fstat(fd))] = None
        return fd

    def fsync_noted(fd: Any) -> None:
        fsync(fd)
        _unsynced.pop(_identify(os.fstat(fd)), None)

    def sync_data_noted(paths: Iterable[str]) -> None:
        several = list(paths)
        sync_data(several)
        for path in several:
            _unsynced.pop(_identify(Path(path).stat()), None)

    os.open, os.fsync, flushing.flush_all = open_noted, fsync_noted, sync_data_noted


def install() -> None:
    import django

    django.setup()
    from datasets.places import Places
    from datasets.receipts import Receipts
    from syncjobs.attempt import execution
    from syncjobs.works.files import work

    _watch_disk()
    around(execution, "claim", after="claim.after")
    around(Places, "add", before="pack.renamed")
    around(Receipts, "settle", before="keep.stored", after="keep.receipted")
    around(work, "publish", before="publish.before", after="publish.after")
    around(execution, "_finish", before="finish.before")


install()
