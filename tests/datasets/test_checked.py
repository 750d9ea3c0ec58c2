"""No wrong byte of a blob goes out, whole or in part, and who has the good bytes heals it."""

from __future__ import annotations

import errno
import os
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from store.blobs import BlobStore
from store.checked import BLOCK_BYTES, WHOLE_BYTES, Damage
from store.errors import BlobDamaged, BlobMissing, StoreMissing
from store.sentinel import write_store_id
from store.sweeping import sweep_blobs
from tests.datasets.test_blobs import WORKSPACE, InMemory, files_below, put

HUGE = os.urandom(WHOLE_BYTES + 2 * BLOCK_BYTES + 7)
SMALL, LARGE = b"0123456789", os.urandom(200_001)


@pytest.fixture
def index() -> InMemory:
    return InMemory()


@pytest.fixture
def store(tmp_path: Path, index: InMemory) -> BlobStore:
    write_store_id(tmp_path, uuid.uuid4())
    made = BlobStore(tmp_path, WORKSPACE, index)
    made.prepare()
    return made


def read(store: BlobStore, digest: bytes, start: int = 0, stop: int | None = None) -> bytes:
    with closing(store.open_checked(digest).part(start, stop)) as part:
        return b"".join(part)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def file_of(store: BlobStore, index: InMemory, digest: bytes, folder: Path) -> tuple[Path, int]:
    """The file that the content lies in, and where."""
    if (place := index.places.get(digest)) is None:
        return store.path(digest), 0
    return folder / str(WORKSPACE) / "packs" / f"{place.pack.hex}.pack", place.offset


def sums_of(store: BlobStore, folder: Path, digest: bytes) -> Path:
    return folder / str(WORKSPACE) / "sums" / digest.hex()[:2] / digest.hex()


@pytest.mark.parametrize("content", [b"", SMALL, LARGE, HUGE])
def test_every_part_comes_as_it_was_stored(store: BlobStore, content: bytes) -> None:
    (digest,) = put(store, content)
    size = len(content)
    for start, stop in ((0, None), (1, 5), (size // 2, size), (max(0, size - 3), size)):
        assert read(store, digest, start, stop) == content[start:stop]
    edge = min(BLOCK_BYTES, size)
    assert (
        read(store, digest, max(0, edge - 2), min(size, edge + 2)) == content[edge - 2 : edge + 2]
    )


@pytest.mark.parametrize("content", [SMALL, LARGE, HUGE], ids=["packed", "whole", "in blocks"])
@pytest.mark.parametrize("how", ["flipped", "short", "gone"])
def test_damage_is_told_before_a_byte_and_noted(
    store: BlobStore, index: InMemory, tmp_path: Path, content: bytes, how: str
) -> None:
    (digest,) = put(store, content)
    path, offset = file_of(store, index, digest, tmp_path)
    if how == "flipped":
        flip(path, offset + len(content) - 1)
    elif how == "short":
        os.truncate(path, offset + len(content) // 2)
    else:
        path.unlink()
    with pytest.raises((BlobDamaged, BlobMissing)):
        store.open_checked(digest)
    is_missing = how == "gone" or (how == "short" and content == SMALL)
    assert index.marked == {digest: Damage.MISSING if is_missing else Damage.CORRUPT}


def test_a_block_that_rots_later_ends_the_reading_before_it(
    store: BlobStore, index: InMemory, tmp_path: Path
) -> None:
    (digest,) = put(store, HUGE)
    assert read(store, digest) == HUGE  # the first reader leaves the sums of the blocks
    flip(store.path(digest), 3 * BLOCK_BYTES + 5)
    came: list[bytes] = []
    part = store.open_checked(digest).part()
    with closing(part), pytest.raises(BlobDamaged, match="block 3"):
        came.extend(part)
    assert b"".join(came) == HUGE[: 3 * BLOCK_BYTES]
    assert index.marked == {digest: Damage.CORRUPT}
    # Other parts are what they were, and are given.
    assert read(store, digest, 5, 2 * BLOCK_BYTES) == HUGE[5 : 2 * BLOCK_BYTES]
    with pytest.raises(BlobDamaged):
        store.open_checked(digest).part(3 * BLOCK_BYTES, 3 * BLOCK_BYTES + 1)


def test_a_part_is_not_a_reading_of_the_whole(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (digest,) = put(store, HUGE)
    assert read(store, digest, 0, 1) == HUGE[:1]
    monkeypatch.setattr("store.blobs.measure_sums", lambda *_: pytest.fail("read as a whole"))
    assert read(store, digest, 5_000_000, 5_000_003) == HUGE[5_000_000:5_000_003]


@pytest.mark.parametrize("how", ["flipped", "short", "of another", "not to be written"])
def test_sums_that_cannot_be_trusted_are_made_anew(
    store: BlobStore, tmp_path: Path, how: str
) -> None:
    digest, other = put(store, HUGE, HUGE[::-1])
    read(store, digest, 0, 1)
    read(store, other, 0, 1)
    path = sums_of(store, tmp_path, digest)
    if how == "flipped":
        flip(path, path.stat().st_size - 1)
    elif how == "short":
        os.truncate(path, path.stat().st_size - 16)
    elif how == "of another":
        path.write_bytes(sums_of(store, tmp_path, other).read_bytes())
    else:
        path.unlink()
        path.mkdir()  # a rename onto it is refused
    assert read(store, digest) == HUGE
    flip(store.path(digest), 1)
    with pytest.raises(BlobDamaged):
        read(store, digest)


def test_a_disk_that_is_away_damages_nothing(
    store: BlobStore, index: InMemory, tmp_path: Path
) -> None:
    (digest,) = put(store, LARGE)
    (tmp_path / "store").mkdir()
    away = BlobStore(tmp_path / "store", WORKSPACE, index)
    with pytest.raises(StoreMissing):
        away.open_checked(digest)
    assert index.marked == {}


@pytest.mark.parametrize("content", [SMALL, LARGE, HUGE], ids=["packed", "whole", "in blocks"])
@pytest.mark.parametrize("how", ["flipped", "short", "gone"])
def test_the_good_bytes_take_the_place_of_damaged_ones(
    store: BlobStore, index: InMemory, tmp_path: Path, content: bytes, how: str
) -> None:
    digest, other = put(store, content, b"of the same pack")
    path, offset = file_of(store, index, digest, tmp_path)
    if how == "flipped":
        flip(path, offset + len(content) // 2)
    elif how == "short":
        os.truncate(path, offset + len(content) // 2)
    else:
        path.unlink()
    index.mark(digest, Damage.CORRUPT)
    put(store, content, content)
    assert read(store, digest) == content
    assert index.marked == {}
    assert files_below(tmp_path, "partial") == []
    if len(content) > len(SMALL):
        assert read(store, other) == b"of the same pack"


def test_what_the_disk_cannot_read_is_replaced(
    store: BlobStore, index: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO, as a bad sector gives it."""
    (digest,) = put(store, SMALL)

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fail)
        with pytest.raises(BlobDamaged, match="cannot read"):
            store.open_checked(digest)
        assert index.marked == {digest: Damage.UNREADABLE}
        old = index.places[digest]
        put(store, SMALL)
    assert index.places[digest] != old
    assert read(store, digest) == SMALL
    assert index.marked == {}


def test_the_sums_go_with_their_blob(store: BlobStore, index: InMemory, tmp_path: Path) -> None:
    (digest,) = put(store, HUGE)
    read(store, digest)
    assert len(files_below(tmp_path, "sums")) == 1
    os.utime(store.path(digest), (1, 1))
    assert sweep_blobs(store, before_s=2).count == 1
    assert files_below(tmp_path, "sums") == []


def test_a_part_that_nobody_takes_is_closed(store: BlobStore) -> None:
    (digest,) = put(store, HUGE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    parts = [store.open_checked(digest).part() for _ in range(5)]
    next(parts[0])
    for part in parts:
        part.close()
        assert list(part) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Killed(BaseException):
    """As by SIGKILL: nothing after it is done."""


@pytest.mark.parametrize("content", [SMALL, HUGE], ids=["packed", "a file of its own"])
@pytest.mark.parametrize("point", ["rename", "fsync", "replace", "unmark"])
def test_whoever_dies_while_healing_leaves_the_old_or_the_good_bytes(
    store: BlobStore,
    index: InMemory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    point: str,
) -> None:
    digest, other = put(store, content, b"of the same pack")
    path, offset = file_of(store, index, digest, tmp_path)
    flip(path, offset)
    index.mark(digest, Damage.CORRUPT)

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        owner: object = os if point in ("rename", "fsync") else index
        dying.setattr(owner, point, die)
        if point == "replace" and content == HUGE:
            put(store, content)  # a file is replaced by its rename alone
        else:
            with pytest.raises(Killed):
                put(store, content)
    if index.marked:
        try:
            assert read(store, digest) == content
        except BlobDamaged:
            assert point != "unmark"
        put(
            BlobStore(tmp_path, WORKSPACE, index), content
        )  # the next attempt, which was asked to by the mark
    assert read(store, digest) == content
    assert read(store, other) == b"of the same pack"
    assert index.marked == {}
