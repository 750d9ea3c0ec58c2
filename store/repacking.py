"""Packs are read and written once more: what they lost goes back to the disk, what the index lost comes back.

Both are safe beside syncs and sweeps, and at every instant of them every content that is named can be read.
Compaction writes a new pack first, and moves the rows of the index last, each only where it still says what
was read. It removes no old pack: `BlobStore.sweep_packs` does, once no row names the pack and its age is over,
which starts again before its contents move. So whoever has just looked up a place in it can still read there.
A content that is damaged stays where it is, and is noted, so that the next sync fetches it again.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from store.blobs import BlobStore
from store.checked import UNREADABLE
from store.errors import BlobDamaged, BlobMissing
from store.packs import FRAME, HEADER, Place, PlaceIndex, iter_pack
from store.partials import Received, disk_errors

ATTEMPT = "compaction"
PACK_BYTES = 16 << 20
PACK_COUNT = 1000
SMALL_PACK_BYTES = 1 << 20
MEASURED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack on disk, and how much of it the index still knows of."""

    pack: uuid.UUID
    path: Path
    file_bytes: int
    count: int
    size_bytes: int

    @property
    def is_small(self) -> bool:
        """Several of these can become one."""
        return self.file_bytes < SMALL_PACK_BYTES and self.count < PACK_COUNT / 2

    @property
    def lost_bytes(self) -> int:
        return self.file_bytes - len(HEADER) - self.count * FRAME.size - self.size_bytes

    @property
    def lost_percent(self) -> float:
        return 100 * self.lost_bytes / self.file_bytes


@dataclass(slots=True)
class Compacted:
    """What a compaction did. `freed_bytes` are those of the packs that hold nothing any more, less those of the
    new ones: they are free once the old packs are swept."""

    packs: int = 0  # that were read
    new_packs: int = 0
    contents: int = 0  # that moved
    size_bytes: int = 0
    damaged: int = 0  # contents that stay where they are
    freed_bytes: int = 0


@dataclass(slots=True)
class Reindexed:
    """What was found in the packs. Contents are `added` where the index had no place for them, and `replaced`
    where its place did not hold them any more."""

    packs: int = 0
    contents: int = 0
    added: int = 0
    replaced: int = 0


def find_sparse(store: BlobStore, index: PlaceIndex, *, lost_percent: int) -> list[Pack]:
    """Packs that lost at least this share of their bytes, and small ones where several can become one. Packs
    that hold nothing are left to the sweep."""
    held = list(_measure(store, index))
    several_small = sum(each.is_small for each in held) > 1
    return [
        each
        for each in held
        if each.lost_percent >= lost_percent or (each.is_small and several_small)
    ]


def compact(
    store: BlobStore,
    index: PlaceIndex,
    sparse: Sequence[Pack],
    *,
    advance: Callable[[int, int], None] = lambda contents, size_bytes: None,
) -> Compacted:
    """Moves what these packs still hold into new ones. `advance` is told of contents and bytes that were read.
    Raises DiskFull, StoreBroken, and what `BlobStore.need` does."""
    done = Compacted(packs=len(sparse))
    places = _iter_places(index, sparse)
    while batch := list(itertools.islice(places, PACK_COUNT)):
        for group in _group(batch):
            _move(store, index, group, done)
            advance(len(group), sum(place.size_bytes for _, place in group))
    emptied = index.find_orphans([each.pack for each in sparse])
    done.freed_bytes += sum(each.file_bytes for each in sparse if each.pack in emptied)
    return done


def measure_files(store: BlobStore) -> tuple[int, int]:
    """How many packs lie on the disk, and their bytes."""
    sizes = []
    for path in store.find_packs().values():
        with suppress(FileNotFoundError):  # swept meanwhile
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def reindex(
    store: BlobStore,
    index: PlaceIndex,
    *,
    advance: Callable[[int, int], None] = lambda packs, size_bytes: None,
) -> Reindexed:
    """Reads every pack, and tells the index of each whole content that it has no good place for. `advance` is
    told of packs and bytes that were read. Raises what `BlobStore.need` does, StoreBroken."""
    store.need()
    done = Reindexed()
    for pack, path in store.find_packs().items():
        with disk_errors():
            try:
                size_bytes, told = path.stat().st_size, dict(iter_pack(path, pack))
            except FileNotFoundError:
                continue  # swept meanwhile
        known = index.find(list(told))
        lost = {sha256: place for sha256, place in told.items() if sha256 not in known}
        wrong = {
            sha256: told[sha256]
            for sha256, place in known.items()
            if place != told[sha256] and not _holds(store, sha256, place)
        }
        if lost:
            index.add(lost)
        if wrong:
            index.replace(wrong)
        here = [sha256 for sha256 in told if known.get(sha256) == told[sha256]]
        store.unmark([*lost, *wrong, *here])
        done.packs += 1
        done.contents += len(told)
        done.added += len(lost)
        done.replaced += len(wrong)
        advance(1, size_bytes)
    return done


def _measure(store: BlobStore, index: PlaceIndex) -> Iterator[Pack]:
    packs = iter(store.find_packs().items())
    while batch := dict(itertools.islice(packs, MEASURED_AT_ONCE)):
        for pack, held in index.measure(list(batch)).items():
            with suppress(FileNotFoundError):
                size_bytes = batch[pack].stat().st_size
                yield Pack(pack, batch[pack], size_bytes, held.count, held.size_bytes)


def _iter_places(index: PlaceIndex, sparse: Sequence[Pack]) -> Iterator[tuple[bytes, Place]]:
    for each in sparse:
        with disk_errors(), suppress(FileNotFoundError):
            os.utime(each.path)  # from now on no sweep takes it for so long as any reader may need
        yield from index.find_in(each.pack).items()


def _group(places: Sequence[tuple[bytes, Place]]) -> Iterator[list[tuple[bytes, Place]]]:
    """Yields as many places at once as one new pack is to hold."""
    group: list[tuple[bytes, Place]] = []
    size_bytes = 0
    for sha256, place in places:
        if group and size_bytes + place.size_bytes > PACK_BYTES:
            yield group
            group, size_bytes = [], 0
        group.append((sha256, place))
        size_bytes += place.size_bytes
    if group:
        yield group


def _move(
    store: BlobStore, index: PlaceIndex, group: Sequence[tuple[bytes, Place]], done: Compacted
) -> None:
    old: Mapping[bytes, Place] = dict(group)
    whole = list(_iter_whole(store, old))
    done.damaged += len(old) - len(whole)
    if not whole:
        return
    store.need_room()
    new = store.add_pack(ATTEMPT, whole)
    moved = index.move({sha256: (old[sha256], place) for sha256, place in new.items()})
    if not moved:  # another compaction was faster
        store.remove_pack(next(iter(new.values())).pack)
        return
    done.contents += len(moved)
    done.size_bytes += sum(new[sha256].size_bytes for sha256 in moved)
    done.new_packs += 1
    done.freed_bytes -= len(HEADER) + sum(FRAME.size + each.size_bytes for each in new.values())


def _iter_whole(store: BlobStore, places: Mapping[bytes, Place]) -> Iterator[Received]:
    """Yields those whose bytes are what they are to be; the others are noted as damaged."""
    for sha256, place in places.items():
        try:
            content = b"".join(store.open_checked(sha256, places).part())
        except (BlobMissing, BlobDamaged):
            continue
        yield Received(sha256, place.size_bytes, None, content)


def _holds(store: BlobStore, sha256: bytes, place: Place) -> bool:
    """Whether a place holds the content. What it lacks is not noted: a better place is at hand."""
    try:
        with store.open(sha256, {sha256: place}) as file:
            return hashlib.sha256(file.read()).digest() == sha256
    except BlobMissing:
        return False
    except OSError as exc:
        if exc.errno not in UNREADABLE:
            raise
        return False
