"""Writes a version as a tree of plain files.

Each folder is opened below the one before it, and no link is followed: whoever exchanges a folder for a link
meanwhile leads nothing out of the destination.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from store.blobs import BlobStore
from store.errors import BlobDamaged, BlobMissing
from store.packs import Place

LOCATED_AT_ONCE = 1_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Errors that concern one path alone: the other files can still be written.
_REFUSALS = {
    errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL,
    errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.EISDIR,
}  # fmt: skip


class DestinationNotEmpty(Exception):
    """A version is checked out only into a folder that does not exist or is empty."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    path: str  # relative, `/`-separated, with surrogateescape
    sha256: bytes
    size_bytes: int
    modified_ns: int | None


@dataclass(slots=True)
class Tree:
    """What was written; `refused` are paths that this file system cannot hold, or whose content is damaged,
    with the reason."""

    files: int = 0
    size_bytes: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def check_out(
    files: Iterable[TreeFile],
    store: BlobStore,
    destination: Path,
    *,
    advance: Callable[[TreeFile], None] = lambda _: None,
) -> Tree:
    """Writes files with mode 0644 and their modification times; each content is hashed as it is written, and
    none that is damaged is left there.

    Raises DestinationNotEmpty, StoreAway, OSError.
    """
    destination.mkdir(parents=True, exist_ok=True)
    with opened_folder(destination) as root:
        if os.listdir(root):  # noqa: PTH208 — of an open folder
            raise DestinationNotEmpty(f"{destination} is not empty")
        return _fill(root, files, store, advance)


def _fill(
    root: int, files: Iterable[TreeFile], store: BlobStore, advance: Callable[[TreeFile], None]
) -> Tree:
    tree = Tree()
    for file, places in _located(files, store):
        try:
            _write(file, store, root, places)
        except (BlobDamaged, BlobMissing) as exc:
            tree.refused.append((file.path, str(exc)))
            continue
        except OSError as exc:
            if exc.errno not in _REFUSALS:
                raise
            tree.refused.append((file.path, exc.strerror or str(exc)))
            continue
        tree.files += 1
        tree.size_bytes += file.size_bytes
        advance(file)
    return tree


def _located(
    files: Iterable[TreeFile], store: BlobStore
) -> Iterator[tuple[TreeFile, Mapping[bytes, Place]]]:
    """Each file with the places of its batch."""
    remaining = iter(files)
    while batch := list(islice(remaining, LOCATED_AT_ONCE)):
        places = store.locate([file.sha256 for file in batch])
        for file in batch:
            yield file, places


def _write(file: TreeFile, store: BlobStore, root: int, places: Mapping[bytes, Place]) -> None:
    relative = PurePosixPath(file.path)
    # Names were checked when they were listed; a store that was tampered with must not reach out.
    if relative.is_absolute() or ".." in relative.parts:
        raise OSError(errno.EINVAL, "the path would leave the folder")
    with _folder_of(relative, root) as folder:
        fd = os.open(relative.name, _FILE, 0o644, dir_fd=folder)
        try:
            with open(fd, "wb") as target:  # noqa: PTH123 — it is open
                store.copy_to(file.sha256, target, places)
                target.flush()
                os.fchmod(fd, 0o644)
                if file.modified_ns is not None:
                    os.utime(fd, ns=(file.modified_ns, file.modified_ns))
        except BaseException:
            os.unlink(relative.name, dir_fd=folder)
            raise


@contextmanager
def _folder_of(relative: PurePosixPath, root: int) -> Iterator[int]:
    """The open folder of a path below `root`; it is made where there is none. A link on the way is an OSError."""
    with ExitStack() as opened:
        folder = root
        for name in relative.parts[:-1]:
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=folder)
            folder = opened.enter_context(opened_folder(name, os.O_NOFOLLOW, folder))
        yield folder


@contextmanager
def opened_folder(path: str | Path, flags: int = 0, below: int | None = None) -> Iterator[int]:
    """Opens a folder, below the open one `below`. Raises OSError."""
    fd = os.open(path, _FOLDER | flags, dir_fd=below)
    try:
        yield fd
    finally:
        os.close(fd)
