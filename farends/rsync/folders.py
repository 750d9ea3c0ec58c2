"""How many files each folder holds, so that a folder can be named to rsync instead of every file in it:
looking each name up costs the host longer than sending a small file."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator

_FILES_MIN = 8
_BYTES_MAX = 32 * 1024 * 1024
_COUNT_BYTES = 100  # what each costs beside its name
_AROUND = 4  # a listing tells so many files in the time of one name


class Folders:
    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._size_bytes = 0
        self._folder = b""
        self._count = 0

    def saw(self, path: bytes) -> None:
        """A regular file of the listing, where the files of a folder follow each other."""
        folder = path.rpartition(b"/")[0]
        if folder != self._folder:
            self._note()
            self._folder = folder
        self._count += 1

    def names_of(self, paths: Collection[bytes]) -> Iterator[bytes]:
        """Names that stand for these files and no others that were listed."""
        return self._names(paths, 1)

    def names_around(self, paths: Collection[bytes]) -> Iterator[bytes]:
        """Names that stand for these files and some of their neighbours."""
        return self._names(paths, _AROUND)

    def forget(self) -> bool:
        """From now on files are named one by one. False where they were before."""
        self._note()
        known = bool(self._counts)
        self._counts.clear()
        return known

    def _names(self, paths: Collection[bytes], share: int) -> Iterator[bytes]:
        self._note()
        by_folder: dict[bytes, list[bytes]] = {}
        for path in paths:
            by_folder.setdefault(path.rpartition(b"/")[0], []).append(path)
        for folder, inside in by_folder.items():
            count = self._counts.get(folder, 0)
            if count and len(inside) * share >= count:
                yield folder + b"/" if folder else b""
            else:
                yield from inside

    def _note(self) -> None:
        if self._count:
            count = self._counts.pop(self._folder, 0) + self._count
            # The small ones are many, and little is won by them; nor is all of an endless listing kept.
            if count >= _FILES_MIN and self._size_bytes < _BYTES_MAX:
                self._counts[self._folder] = count
                self._size_bytes += sys.getsizeof(self._folder) + _COUNT_BYTES
            self._count = 0
