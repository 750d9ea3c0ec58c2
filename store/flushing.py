"""Flushes files and folders to disk, many of them at once."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)


def flush_all(paths: Iterable[str]) -> None:
    """Flushes files or folders to disk: one syncfs for many, fsync for few.

    Linux reports write-back errors of syncfs since 5.8.
    """
    several = list(paths)
    if len(several) > 8 and hasattr(_libc, "syncfs"):
        fd = os.open(several[0], os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.syncfs(fd) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(fd)
        return
    for path in several:
        flush(path)


def flush(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
