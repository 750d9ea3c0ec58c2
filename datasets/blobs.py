"""Content-addressed blobs on local disk: bytes first, name last.

Layout, below the store's root:

    SENTINEL                          this is a store; without it nothing is read or written
    <workspace>/blobs/ab/abcdef…      one immutable file per SHA-256, mode 0644
    <workspace>/partial/<attempt>-<key>-<n>
                                      bytes on their way, named by the attempt that writes them and by
                                      what they are of, so that a later attempt can go on from them

Invariants, at every instant: a file below `blobs/` is complete and its content has the digest that
it is named by (temp, write, sync to disk, rename, sync the folder); nothing in a remote name becomes a
path. Each workspace has its own blobs, so that nobody learns from timing or size what another holds.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from datasets.errors import BlobMissing, DiskFull, StoreBroken, StoreMissing

SENTINEL = "SYNCPROJECT-STORE"
UNKNOWN = "x"  # the key of a file that cannot be gone on with
WORTH_KEEPING_BYTES = 1 << 20
COPY_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise DiskFull(f"the store cannot write: {exc.strerror}") from exc
        raise StoreBroken(f"the store cannot write: {exc.strerror or exc}") from exc


def create_store(root: Path) -> None:
    """Makes `root` a store. Safe to call again."""
    root.mkdir(parents=True, exist_ok=True, mode=0o755)
    sentinel = root / SENTINEL
    if not sentinel.exists():
        sentinel.write_text("blobs of SyncProject; do not edit\n", encoding="ascii")


@dataclass(frozen=True, slots=True)
class Received:
    """A file whose bytes are all here, still under its partial name."""

    partial: Path
    sha256: bytes
    size_bytes: int


class BlobWriter:
    """Takes the bytes of one file, in order, hashing as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        with _disk_errors():
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd: int | None = os.open(path, flags, 0o644)

    @property
    def path(self) -> Path:
        return self._path

    @property
    def size_bytes(self) -> int:
        """What is here already; more than 0 at the start where an earlier attempt left bytes."""
        return self._size

    def write(self, data: bytes | memoryview) -> None:
        """Raises DiskFull or StoreBroken."""
        fd = self._open_fd()
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        with _disk_errors():
            while view:
                view = view[os.write(fd, view) :]

    def take_over(self, left: Path) -> None:
        """Begins with what another attempt left. A copy, because its writer may still be at it."""
        try:
            with left.open("rb") as source:
                while piece := source.read(COPY_BYTES):
                    self.write(piece)
        except FileNotFoundError:
            return
        left.unlink(missing_ok=True)

    def rewind(self) -> None:
        """Forgets the bytes and begins anew."""
        fd = self._open_fd()
        with _disk_errors():
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self._size = 0

    def finish(self) -> Received:
        """Closes the partial file; `BlobStore.commit` makes it a blob."""
        fd, self._fd = self._open_fd(), None
        with _disk_errors():
            os.close(fd)
        return Received(self._path, self._hash.digest(), self._size)

    def leave(self) -> None:
        """Closes the file and leaves its bytes for a later attempt, where they are worth it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
            if self._size < WORTH_KEEPING_BYTES:
                self._path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Forgets the bytes; safe to call twice, and after `finish`."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        self._path.unlink(missing_ok=True)

    def _open_fd(self) -> int:
        if self._fd is None:
            raise StoreBroken("this file's writer is closed")
        return self._fd


class BlobStore:
    """The blobs of one workspace."""

    def __init__(self, root: Path, workspace: uuid.UUID) -> None:
        self._root = root
        self._blobs = root / str(workspace) / "blobs"
        self._partial = root / str(workspace) / "partial"

    def prepare(self) -> None:
        """Raises StoreMissing where the root is not a store (D04), DiskFull, StoreBroken."""
        if not (self._root / SENTINEL).is_file():
            raise StoreMissing(f"{self._root} has no {SENTINEL} file: is the disk mounted?")
        with _disk_errors():
            self._partial.mkdir(parents=True, exist_ok=True)
            if not (self._blobs / "ff").is_dir():
                for number in range(256):
                    (self._blobs / f"{number:02x}").mkdir(parents=True, exist_ok=True)
                _sync(self._blobs)

    def create(
        self, attempt: str, key: str = UNKNOWN, *, before_ns: int | None = None
    ) -> BlobWriter:
        """A writer with a partial file of its own.

        `attempt` and `key` are names without `-` or `/`. With a key that tells file and fingerprint,
        the writer begins with what an earlier attempt left of the same, if it was last written at
        `before_ns` or later: the caller knows from when on equal fingerprints prove equal content.
        """
        writer = BlobWriter(self._partial / f"{attempt}-{key}-{uuid.uuid4().hex}")
        if key != UNKNOWN and before_ns is not None:
            left = [path for path in self._partial.glob(f"*-{key}-*") if path != writer.path]
            for path in left:
                if writer.size_bytes == 0 and path.stat().st_mtime_ns >= before_ns:
                    writer.take_over(path)
                path.unlink(missing_ok=True)
        return writer

    def commit(self, received: Iterable[Received]) -> None:
        """Makes files blobs: one sync to disk for all of them, then the renames, then their folders.

        On return each is durable. A blob that exists already is kept and its age refreshed, so that
        a sweep does not take it from under the version that is about to name it.
        """
        new: dict[Path, Received] = {}
        with _disk_errors():
            for item in received:
                path = self.path(item.sha256)
                if path in new or _refresh(path):
                    item.partial.unlink()
                else:
                    new[path] = item
            _sync_data([item.partial for item in new.values()])
            for path, item in new.items():
                item.partial.rename(path)
            _sync_data({path.parent for path in new})

    def path(self, sha256: bytes) -> Path:
        digest = sha256.hex()
        return self._blobs / digest[:2] / digest

    def holds(self, sha256: bytes) -> bool:
        return self.path(sha256).is_file()

    def open(self, sha256: bytes) -> BinaryIO:
        """The blob's bytes. Raises BlobMissing."""
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError:
            raise BlobMissing(f"blob {sha256.hex()} is missing") from None

    def copy_to(self, sha256: bytes, destination: Path) -> None:
        """A plain file of its own: a checkout that is edited must not change the blob."""
        with self.open(sha256) as source, destination.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def verify(self, sha256: bytes) -> bool:
        """Reads the whole blob again. Raises BlobMissing."""
        with self.open(sha256) as source:
            digest = hashlib.sha256()
            while piece := source.read(1 << 20):
                digest.update(piece)
            return digest.digest() == sha256

    def sweep_partial(self, *, live_attempts: frozenset[str], older_than_s: float) -> int:
        """Removes partial files that no live attempt writes and none has come back for; their count."""
        removed = 0
        latest = time.time() - older_than_s
        for path in self._partial.glob("*-*-*"):
            stale = path.stat().st_mtime <= latest
            if stale and path.name.partition("-")[0] not in live_attempts:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def close_attempt(self, attempt: str, *, keep: bool) -> None:
        """Clears what one attempt left; with `keep`, large pieces wait for the next attempt."""
        for path in self._partial.glob(f"{attempt}-*"):
            worth = path.stat().st_size >= WORTH_KEEPING_BYTES
            if not (keep and worth and f"-{UNKNOWN}-" not in path.name):
                path.unlink(missing_ok=True)


def _refresh(path: Path) -> bool:
    """Whether there is such a blob; its age begins anew."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _sync_data(paths: Iterable[Path]) -> None:
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
        _sync(path)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
