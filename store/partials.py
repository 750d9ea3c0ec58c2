"""Takes in the bytes of files until they become blobs.

Small files wait in memory until their batch is written as one pack: creating a file for each costs the
kernel as long as fetching it. Large ones go to disk as they come.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.errors import DiskFull, StoreBroken

UNKNOWN = "x"  # the key of a file that cannot be resumed
SMALL_BYTES = 64 << 10
WORTH_KEEPING_BYTES = SMALL_BYTES + 1
COPY_BYTES = 1 << 20
_FLUSH_BYTES = 8 << 20
_LOOK_BYTES = 1 << 20  # how much of the reserved room one file may take
_SYNC_FILE_RANGE_WRITE = 2
_libc = ctypes.CDLL(None, use_errno=True)
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turns errors of the disk into errors of the store."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise DiskFull(f"the store cannot write: {exc.strerror}") from exc
        raise StoreBroken(f"the store cannot write: {exc.strerror or exc}") from exc


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has arrived as a whole: under a partial name, or in memory if it is small."""

    sha256: bytes
    size_bytes: int
    partial: str | None
    content: bytes = b""

    def discard(self) -> None:
        """The bytes are not wanted."""
        if self.partial is not None:
            Path(self.partial).unlink(missing_ok=True)


class BlobWriter:
    """Takes the bytes of one file, in order, hashing as they come."""

    def __init__(self, path: str, need_room: Callable[[], None] = lambda: None) -> None:
        """`need_room` is called now and then while bytes go to disk; it raises DiskFull."""
        self._path = path
        self._need_room = need_room
        self._looked = 0  # how many bytes there were then
        self._hash = hashlib.sha256()
        self._size = 0
        self._flushed = 0  # bytes that the disk was told to take
        self._small: list[bytes] | None = []  # None once the file is on disk, or closed
        self._fd: int | None = None

    @property
    def size_bytes(self) -> int:
        """How many bytes are here; more than 0 at the start if an earlier attempt left some."""
        return self._size

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of the bytes that are here. Bytes of an earlier attempt are read from the disk for it."""
        return self._hash.digest()

    def write(self, data: bytes | memoryview) -> None:
        """Raises DiskFull or StoreBroken."""
        self._hash.update(data)
        self._size += len(data)
        if self._small is not None and self._size <= SMALL_BYTES:
            self._small.append(bytes(data))
            return
        with disk_errors():
            fd = self._open()
            write_all(fd, data)
        if self._size - self._looked >= _LOOK_BYTES:
            self._looked = self._size
            self._need_room()
        if self._size - self._flushed >= _FLUSH_BYTES:
            self._flush(fd)

    def take_over(self, left: Path) -> None:
        """Begins with the bytes that another attempt left. They are copied, because their writer may still write."""
        try:
            with disk_errors(), left.open("rb") as source:
                while piece := source.read(COPY_BYTES):
                    self.write(piece)
        except StoreBroken as exc:
            if not isinstance(exc.__cause__, FileNotFoundError):
                raise

    def rewind(self) -> None:
        """Forgets the bytes and starts again."""
        self.abandon()
        self._hash = hashlib.sha256()
        self._size = self._flushed = self._looked = 0
        self._small = []

    def finish(self) -> Received:
        """Closes the file; `BlobStore.commit` then makes it a blob."""
        small, self._small = self._small, None
        if small is not None:
            return Received(self._hash.digest(), self._size, None, b"".join(small))
        fd, self._fd = self._fd, None
        if fd is None:
            raise StoreBroken("this file's writer is closed")
        with disk_errors():
            os.close(fd)
        return Received(self._hash.digest(), self._size, self._path)

    def leave(self) -> None:
        """Closes the file. Keeps its bytes for a later attempt if there are enough of them."""
        if self._size < WORTH_KEEPING_BYTES:
            self.abandon()
            return
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def abandon(self) -> None:
        """Forgets the bytes; safe to call twice, and after `finish`, whose bytes stay."""
        self._small = None
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
            Path(self._path).unlink(missing_ok=True)

    def _flush(self, fd: int) -> None:
        """Asks the disk to start writing, so that the sync at the end waits less. This is a hint: the sync at the
        end reports errors."""
        if hasattr(_libc, "sync_file_range"):
            offset, size = ctypes.c_int64(self._flushed), ctypes.c_int64(self._size - self._flushed)
            _libc.sync_file_range(fd, offset, size, _SYNC_FILE_RANGE_WRITE)
        self._flushed = self._size

    def _open(self) -> int:
        if self._fd is None:
            if self._small is None:
                raise StoreBroken("this file's writer is closed")
            self._fd = os.open(self._path, FLAGS, 0o644)
            small, self._small = self._small, None
            for piece in small:
                write_all(self._fd, piece)
        return self._fd


def write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
