"""One log file per program: opened for appending, kept short, quoted when something goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

KEPT_BYTES = 32 * 1024 * 1024


def open_log(path: Path) -> int:
    """A file descriptor that appends; whoever opens it closes it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def measure_log(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def trim(path: Path) -> None:
    """Moves a log that grew too long aside, as one `.1`, while its program goes on writing."""
    if measure_log(path) <= KEPT_BYTES:
        return
    # The program holds the file open, so it is copied and emptied; O_APPEND makes that safe.
    aside = path.with_suffix(".log.1")
    with path.open("rb") as source, aside.open("wb") as target:
        os.fchmod(target.fileno(), 0o600)
        while chunk := source.read(1024 * 1024):
            target.write(chunk)
    os.truncate(path, 0)


def read_since(path: Path, offset: int) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(offset)
        return log.read().decode("utf-8", "replace")


def tail(path: Path, lines: int = 12, width: int = 400) -> str:
    """The last lines, for the operator's terminal; long ones are cut."""
    start = max(0, measure_log(path) - 64 * 1024)
    last = read_since(path, start).splitlines()[-lines:]
    return "\n".join(line if len(line) <= width else f"{line[:width]} ..." for line in last)
