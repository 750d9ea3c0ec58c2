"""Stores many small blobs in one file, so that a batch of them costs one write, one sync and one rename.

Layout: a header line, then for each blob its SHA-256 (32 bytes), its size (4 bytes, little endian) and its
bytes. PostgreSQL keeps where a blob lies. The frames let the index be built again if the database is lost.
"""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from store.checked import UNREADABLE
from store.errors import BlobMissing
from store.partials import FLAGS, Received, write_all

HEADER = b"SYNCPROJECT-PACK 1\n"
FRAME = struct.Struct("<32sI")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a packed blob; `offset` is that of its bytes."""

    pack: uuid.UUID
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PackContent:
    """What the index knows of in a pack."""

    count: int
    size_bytes: int


class PlaceIndex(Protocol):
    """Which blobs of a workspace are packed, and where; `datasets.places` is the real one."""

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Place]: ...

    def refresh(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Returns those that are packed already and sets their age to zero, so that no sweep takes them."""
        ...

    def add(self, places: Mapping[bytes, Place]) -> None:
        """Adds places. They are durable no later than what is committed after them. If another writer stored the same
        content meanwhile, the first place counts."""
        ...

    def replace(self, places: Mapping[bytes, Place]) -> None:
        """Adds places for content that its known place does not hold any more."""
        ...

    def mark(self, sha256: bytes, damage: str) -> None:
        """Notes that this blob is damaged: the next sync that lists its file fetches it again."""
        ...

    def unmark(self, digests: Sequence[bytes]) -> None:
        """Notes that these blobs are whole."""
        ...

    def move(self, moves: Mapping[bytes, tuple[Place, Place]]) -> set[bytes]:
        """Each content lies at the second place from now on, where the index still has the first one for
        it; those that moved. Their age stays: nobody has stored them once more."""
        ...

    def find_in(self, pack: uuid.UUID) -> dict[bytes, Place]:
        """What the index knows of in a pack, in the order of the bytes."""
        ...

    def measure(self, packs: Sequence[uuid.UUID]) -> dict[uuid.UUID, PackContent]:
        """How much of each pack the index knows of; a pack that it does not know is left out."""
        ...

    def find_orphans(self, packs: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Returns those of the packs that hold no blob that anybody knows of."""
        ...

    def find_unnamed(self, digests: Sequence[bytes]) -> set[bytes]:
        """Returns those that no entry of any version and no receipt names."""
        ...

    def forget_unnamed(self, before_s: float) -> tuple[int, int]:
        """Packed blobs that were not stored since `before_s` (epoch) and that nothing names are packed no
        more; their count and bytes."""
        ...

    def storing(self) -> AbstractContextManager[None]:
        """Held while blobs are found and their age is set to zero; all who store share it."""
        ...

    def sweeping(self) -> AbstractContextManager[None]:
        """Held while old blobs are found and removed; nobody stores meanwhile."""
        ...


def write_pack(path: str, pack: uuid.UUID, small: Iterable[Received]) -> dict[bytes, Place]:
    """Writes a new file and flushes it to disk. Raises OSError, and then leaves no file."""
    places: dict[bytes, Place] = {}
    pieces = [HEADER]
    offset = len(HEADER)
    for item in small:
        offset += FRAME.size
        pieces += (FRAME.pack(item.sha256, item.size_bytes), item.content)
        places[item.sha256] = Place(pack, offset, item.size_bytes)
        offset += item.size_bytes
    fd = os.open(path, FLAGS, 0o644)
    try:
        write_all(fd, b"".join(pieces))
        os.fsync(fd)
    except OSError:
        Path(path).unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    return places


def read_packed(path: str, place: Place) -> bytes:
    """The blob's bytes. Raises BlobMissing where the pack is gone or too short."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BlobMissing(f"pack {place.pack} is missing") from None
    try:
        content = os.pread(fd, place.size_bytes, place.offset)
    finally:
        os.close(fd)
    if len(content) != place.size_bytes:
        raise BlobMissing(f"pack {place.pack} ends before byte {place.offset + place.size_bytes}")
    return content


def find_differing(
    path_of: Callable[[uuid.UUID], str], places: Mapping[bytes, Place], items: Iterable[Received]
) -> set[bytes]:
    """Returns the digests of items that their place does not hold. Opens each pack once."""
    differing: set[bytes] = set()
    in_packs: dict[uuid.UUID, list[Received]] = {}
    for item in items:
        in_packs.setdefault(places[item.sha256].pack, []).append(item)
    for pack, held in in_packs.items():
        try:
            fd = os.open(path_of(pack), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            differing.update(item.sha256 for item in held)
            continue
        try:
            for item in held:
                place = places[item.sha256]
                if _pread(fd, place) != item.content:
                    differing.add(item.sha256)
        finally:
            os.close(fd)
    return differing


def _pread(fd: int, place: Place) -> bytes | None:
    """Returns None if the disk cannot read it."""
    try:
        return os.pread(fd, place.size_bytes, place.offset)
    except OSError as exc:
        if exc.errno not in UNREADABLE:
            raise
        return None


def iter_frames(path: Path, pack: uuid.UUID) -> Iterator[tuple[bytes, Place]]:
    """What a pack says that it holds, by its frames alone; its contents are not read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(HEADER)) != HEADER:
            return
        while len(frame := file.read(FRAME.size)) == FRAME.size:
            sha256, size_bytes = FRAME.unpack(frame)
            place = Place(pack, file.tell(), size_bytes)
            if place.offset + size_bytes > size:
                return  # the end is missing, or the size is damaged
            yield sha256, place
            file.seek(place.offset + size_bytes)


def iter_pack(path: Path, pack: uuid.UUID) -> Iterator[tuple[bytes, Place]]:
    """What a pack holds by its own frames, each verified. A content that does not hold is left out, and so is
    what stands behind a frame whose size is damaged."""
    with path.open("rb") as file:
        for sha256, place in iter_frames(path, pack):
            if hashlib.sha256(_pread(file.fileno(), place) or b"").digest() == sha256:
                yield sha256, place
