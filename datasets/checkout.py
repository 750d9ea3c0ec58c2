"""A version as a real tree of plain files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from datasets.blobs import BlobStore
from datasets.packs import Place

LOCATED_AT_ONCE = 1_000


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
    """What was written; `refused` are paths that this file system cannot hold, with the reason."""

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
    """Writes files with mode 0644 and their modification times; verifies each size.

    Raises DestinationNotEmpty, BlobMissing, OSError.
    """
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise DestinationNotEmpty(f"{destination} is not empty")
    tree = Tree()
    for file, places in _located(files, store):
        try:
            _write(file, store, destination, places)
        except OSError as exc:
            if exc.errno not in (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR):
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


def _write(
    file: TreeFile, store: BlobStore, destination: Path, places: Mapping[bytes, Place]
) -> None:
    relative = PurePosixPath(file.path)
    # Names were checked when they were listed; a store that was tampered with must not reach out.
    if relative.is_absolute() or ".." in relative.parts:
        raise OSError(errno.EINVAL, "the path would leave the folder")
    target = destination / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    store.copy_to(file.sha256, target, places)
    target.chmod(0o644)
    if file.modified_ns is not None:
        os.utime(target, ns=(file.modified_ns, file.modified_ns))
