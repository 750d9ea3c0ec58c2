"""Prepares DATA_DIR: makes it, proves it writable, locks it for one launcher, and clears what a killed launcher left."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from embedded.child import POLL_S
from embedded.errors import StackError

# In every child's environment: whose stack it belongs to. PostgreSQL has its own file for that.
MARK = "SYNCPROJECT_STACK"
_PATIENCE_S = 3.0  # those that live longer are strays: their death signal was sent at once


def open_home(data_dir: Path) -> TextIO:
    """Makes the folder and takes its lock; the lock lasts until the file is closed.

    Raises StackError: not a folder, not writable, or held by a running stack.
    """
    try:
        # Under root PostgreSQL runs as nobody, who has to pass through.
        data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        lock = (data_dir / "stack.lock").open("a+", encoding="ascii")
    except OSError as error:
        raise StackError(
            f"cannot write to {data_dir} ({error.strerror}): set DATA_DIR to a folder of yours"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read().strip() or "unknown"
        lock.close()
        raise StackError(
            f"the stack already runs here (pid {pid}, DATA_DIR {data_dir}): stop it first"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def mark(data_dir: Path) -> dict[str, str]:
    return {MARK: str(data_dir)}


def wait_for_leftovers(data_dir: Path, say: Callable[[str], None]) -> None:
    """Waits for processes of an earlier, killed launcher; ends those that take too long."""
    pids = find_marked(data_dir)
    if pids:
        say(f"waiting for {len(pids)} processes of an earlier run to end")
    deadline = time.monotonic() + _PATIENCE_S
    while pids := find_marked(data_dir):
        if time.monotonic() > deadline:
            for pid in pids:
                _kill(pid)
        time.sleep(POLL_S)


def find_marked(data_dir: Path) -> list[int]:
    """The processes that carry the mark of this folder's stack, grandchildren included."""
    wanted = os.fsencode(f"{MARK}={data_dir}")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = wanted in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if marked and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself
