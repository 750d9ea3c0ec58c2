"""A folder on the disk as the mapping that a far end in memory reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from farends import names
from farends.contract import Reason, Skipped
from tests.engine.memory import Content


@dataclass(frozen=True, slots=True)
class DiskFile:
    path: bytes

    def describe(self) -> tuple[int, int]:
        found = os.lstat(self.path)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError("it is no regular file any more")
        return found.st_size, found.st_mtime_ns

    def read(self, offset: int, count: int) -> bytes:
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.pread(fd, count, offset)
        finally:
            os.close(fd)


class FolderView(Mapping[str, Content | Skipped]):
    """Looks anew each time: what changes below the folder shows at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.fsencode(folder)

    def __getitem__(self, path: str) -> Content | Skipped:
        raw = self._folder + b"/" + names.encode(path)
        try:
            mode = os.lstat(raw).st_mode
        except OSError as exc:
            raise KeyError(path) from exc
        if stat.S_ISREG(mode):
            return DiskFile(raw)
        if stat.S_ISLNK(mode):
            return Skipped(path, Reason.LINK, "a link")
        if stat.S_ISDIR(mode):
            return Skipped(path, Reason.UNREADABLE, "a folder that cannot be read", retryable=True)
        return Skipped(path, Reason.SPECIAL, "neither file nor folder")

    def __iter__(self) -> Iterator[str]:
        """Files, links and the like, and folders that refuse."""
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            if folder and not stat.S_IMODE(os.lstat(self._folder + b"/" + folder).st_mode):
                yield names.decode(folder)  # refuses whom it belongs to; root would not be refused
                continue
            for row in sorted(
                os.scandir(self._folder + b"/" + folder), key=lambda found: found.name
            ):
                path = folder + b"/" + row.name if folder else row.name
                too_deep = path.count(b"/") > names.DEPTH_MAX
                if row.is_dir(follow_symlinks=False) and not too_deep:
                    waiting.append(path)
                else:
                    yield names.decode(path)

    def __len__(self) -> int:
        return sum(1 for _ in self)
