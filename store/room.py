"""Measures the room on the store's disk, and how much of it must stay free.

A record that runs out of room has wasted its transfer, and PostgreSQL may use the same disk. So new work waits before
the disk is full. SYNC_MIN_FREE_BYTES must stay free, but at most a share of the disk: a small disk
must be usable too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SHARE_MAX = 0.05  # of the disk's size


@dataclass(frozen=True, slots=True)
class Room:
    free_bytes: int  # that this user may still write
    size_bytes: int
    needed_bytes: int  # below that, new work waits

    @property
    def is_short(self) -> bool:
        return self.free_bytes < self.needed_bytes

    def __str__(self) -> str:
        return f"{show_size(self.free_bytes)} free, {show_size(self.needed_bytes)} needed"

    def fits(self, size_bytes: int) -> bool:
        """Whether this many bytes may still be stored."""
        return self.free_bytes - self.needed_bytes >= size_bytes


def measure_room(folder: Path, *, min_free_bytes: int) -> Room:
    """Asks the disk. Raises OSError if the folder cannot be read."""
    disk = os.statvfs(folder)
    return make_room(
        free_bytes=disk.f_bavail * disk.f_frsize,
        size_bytes=disk.f_blocks * disk.f_frsize,
        min_free_bytes=min_free_bytes,
    )


def make_room(*, free_bytes: int, size_bytes: int, min_free_bytes: int) -> Room:
    """`min_free_bytes` of 0: everything may be filled."""
    needed = min(min_free_bytes, int(size_bytes * SHARE_MAX))
    return Room(free_bytes, size_bytes, max(needed, 0))


def show_size(size_bytes: int) -> str:
    if size_bytes < 10 << 30:
        return f"{size_bytes / (1 << 20):,.1f} MiB"
    return f"{size_bytes / (1 << 30):,.1f} GiB"
