"""Removes from a workspace's store what no attempt comes back for and what nothing names any more."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from store.blobs import BlobStore
from store.packs import iter_frames

SWEPT_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Swept:
    """What was removed."""

    count: int = 0
    size_bytes: int = 0


def sweep_partial(store: BlobStore, *, live_attempts: frozenset[str], older_than_s: float) -> int:
    """Removes partial files that no live attempt writes and none has come back for; their count."""
    removed = 0
    latest = time.time() - older_than_s
    for path in store.partial_folder.glob("*-*-*"):
        live = path.name.partition("-")[0] in live_attempts
        if not live and _modified_s(path) <= latest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def sweep_packs(store: BlobStore, *, older_than_s: float) -> int:
    """Removes packs of that age that hold nothing the index knows of: their writer was killed before
    it could say so, or what they held was forgotten or moved; their count. A pack that holds what is named
    stays although the index knows nothing of it: the index can be built again from it."""
    latest = time.time() - older_than_s
    old = {pack: path for pack, path in store.find_packs().items() if _modified_s(path) <= latest}
    orphans = store.index.find_orphans(list(old)) if old else set()
    needed = _find_needed(store, {pack: old[pack] for pack in orphans})
    for pack in orphans - needed:
        old[pack].unlink(missing_ok=True)
    return len(orphans - needed)


def _find_needed(store: BlobStore, orphans: Mapping[uuid.UUID, Path]) -> set[uuid.UUID]:
    """Yields those that hold a content which is named and lies nowhere else, or that the disk cannot read now."""
    needed: set[uuid.UUID] = set()

    def iter_told() -> Iterator[tuple[bytes, uuid.UUID]]:
        for pack, path in orphans.items():
            try:
                yield from ((sha256, pack) for sha256, _ in iter_frames(path, pack))
            except FileNotFoundError:
                continue  # another sweep was faster
            except OSError:
                needed.add(pack)

    told = iter_told()
    while batch := list(itertools.islice(told, SWEPT_AT_ONCE)):
        digests = {sha256 for sha256, _ in batch}
        if lost := list(digests - store.index.find(list(digests)).keys()):
            named = set(lost) - store.index.find_unnamed(lost)
            needed |= {pack for sha256, pack in batch if sha256 in named}
    return needed


def sweep_blobs(store: BlobStore, *, before_s: float) -> Swept:
    """Removes blobs that were not stored since `before_s` (epoch) and that no version and no receipt
    names. `before_s` must lie before the start of every record that is still at work: what it has
    stored, and not yet named, stays. Packs go whole, when nothing in them is known any more; the sums of a
    blob that is gone go too."""
    count, size_bytes = store.index.forget_unnamed(before_s)
    old = (path for path in store.blobs_folder.glob("??/*") if _modified_s(path) < before_s)
    while batch := list(itertools.islice(old, SWEPT_AT_ONCE)):
        unnamed = store.index.find_unnamed([bytes.fromhex(path.name) for path in batch])
        for path in batch:
            if bytes.fromhex(path.name) in unnamed:
                with store.index.sweeping():
                    freed = _remove_old(path, before_s)
                count, size_bytes = count + (freed is not None), size_bytes + (freed or 0)
    for sums in store.sums_folder.glob("??/*"):
        if not store.path(bytes.fromhex(sums.name)).exists():
            sums.unlink(missing_ok=True)
    return Swept(count, size_bytes)


def _remove_old(path: Path, before_s: float) -> int | None:
    """Removes a file and returns its size; None if the file was stored again meanwhile, or is gone."""
    try:
        stat = path.stat()
        if stat.st_mtime >= before_s:
            return None
        path.unlink()
    except FileNotFoundError:
        return None
    return stat.st_size


def _modified_s(path: Path) -> float:
    """0 for a file that somebody else has removed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
