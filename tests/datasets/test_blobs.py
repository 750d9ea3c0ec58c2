from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from store.blobs import BlobStore
from store.errors import BlobMissing, DiskFull, StoreBroken, StoreForeign, StoreMissing
from store.packs import PackContent, Place, iter_pack
from store.partials import SMALL_BYTES, WORTH_KEEPING_BYTES
from store.sentinel import write_store_id
from store.sweeping import sweep_packs, sweep_partial

WORKSPACE = uuid.UUID(int=1)
LARGE = b"x" * (SMALL_BYTES + 1)


class InMemory:
    """The index of the store's own tests; `test_places` has the real one."""

    def __init__(self) -> None:
        self.places: dict[bytes, Place] = {}
        self.marked: dict[bytes, str] = {}

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        return {sha256: self.places[sha256] for sha256 in digests if sha256 in self.places}

    def refresh(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        return self.find(digests)

    def add(self, places: Mapping[bytes, Place]) -> None:
        self.places = {**places, **self.places}

    def replace(self, places: Mapping[bytes, Place]) -> None:
        self.places |= places

    def mark(self, sha256: bytes, damage: str) -> None:
        self.marked[sha256] = damage

    def unmark(self, digests: Sequence[bytes]) -> None:
        self.marked = {key: damage for key, damage in self.marked.items() if key not in digests}

    def move(self, moves: Mapping[bytes, tuple[Place, Place]]) -> set[bytes]:
        moved = {sha256 for sha256, (old, _) in moves.items() if self.places.get(sha256) == old}
        self.places |= {sha256: moves[sha256][1] for sha256 in moved}
        return moved

    def find_in(self, pack: uuid.UUID) -> dict[bytes, Place]:
        return {sha256: place for sha256, place in self.places.items() if place.pack == pack}

    def measure(self, packs: Sequence[uuid.UUID]) -> dict[uuid.UUID, PackContent]:
        held = {pack: self.find_in(pack).values() for pack in packs}
        return {
            pack: PackContent(len(places), sum(place.size_bytes for place in places))
            for pack, places in held.items()
            if places
        }

    def find_orphans(self, packs: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        return set(packs) - {place.pack for place in self.places.values()}

    def find_unnamed(self, digests: Sequence[bytes]) -> set[bytes]:
        return set(digests)

    def forget_unnamed(self, before_s: float) -> tuple[int, int]:
        return 0, 0

    def storing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def sweeping(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    write_store_id(tmp_path, uuid.uuid4())
    made = BlobStore(tmp_path, WORKSPACE, InMemory())
    made.prepare()
    return made


def put(store: BlobStore, *contents: bytes) -> list[bytes]:
    received = []
    for content in contents:
        writer = store.create("attempt")
        writer.write(content)
        received.append(writer.finish())
    store.commit("attempt", received)
    return [item.sha256 for item in received]


def files_below(folder: Path, part: str) -> list[Path]:
    return [path for path in (folder / str(WORKSPACE) / part).rglob("*") if path.is_file()]


def test_a_blob_is_named_by_its_content(store: BlobStore, tmp_path: Path) -> None:
    contents = [b"", b"one", b"two" * 100_000] + [b"%d" % number for number in range(20)]
    digests = put(store, *contents)
    assert digests == [hashlib.sha256(content).digest() for content in contents]
    for digest, content in zip(digests, contents, strict=True):
        with store.open(digest) as blob:
            assert blob.read() == content
        assert store.verify(digest)
    assert files_below(tmp_path, "partial") == []
    (large,), (pack,) = files_below(tmp_path, "blobs"), files_below(tmp_path, "packs")
    assert large == store.path(digests[2])
    assert large.stat().st_mode & 0o7777 == pack.stat().st_mode & 0o7777 == 0o644


def test_the_same_content_is_kept_once_and_its_age_refreshed(
    store: BlobStore, tmp_path: Path
) -> None:
    digest, _ = put(store, LARGE, b"same")
    os.utime(store.path(digest), (1, 1))
    put(store, LARGE, LARGE, b"same", b"same")
    assert len(files_below(tmp_path, "blobs")) == len(files_below(tmp_path, "packs")) == 1
    assert store.path(digest).stat().st_mtime > 1


def test_until_commit_nothing_is_visible(store: BlobStore, tmp_path: Path) -> None:
    writer = store.create("attempt")
    writer.write(LARGE)
    assert len(files_below(tmp_path, "partial")) == 1
    assert files_below(tmp_path, "blobs") == []
    writer.abandon()
    writer.abandon()
    assert files_below(tmp_path, "partial") == []


def test_an_unmounted_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="mounted"):
        BlobStore(tmp_path, WORKSPACE, InMemory()).prepare()


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["packed", "whole"])
def test_what_lands_on_another_disk_is_not_committed(content: bytes, tmp_path: Path) -> None:
    known = uuid.uuid4()
    write_store_id(tmp_path, known)
    index = InMemory()
    store = BlobStore(tmp_path, WORKSPACE, index, lambda: known)
    store.prepare()
    write_store_id(tmp_path, uuid.uuid4())  # mounted over it
    with pytest.raises(StoreForeign, match=str(known)):
        put(store, content)
    assert index.places == {}


def test_a_missing_blob_says_so(store: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        store.open(b"\0" * 32)


def test_a_changed_blob_is_found(store: BlobStore, tmp_path: Path) -> None:
    large, first, small = put(store, LARGE, b"first", b"small")
    store.path(large).write_bytes(b"y" + LARGE[1:])
    assert not store.verify(large)
    (pack,) = files_below(tmp_path, "packs")
    pack.write_bytes(pack.read_bytes().replace(b"small", b"smoll"))
    assert store.verify(first)
    assert not store.verify(small)


def test_a_pack_that_is_cut_or_gone_says_so(store: BlobStore, tmp_path: Path) -> None:
    first, last = put(store, b"first", b"last")
    (pack,) = files_below(tmp_path, "packs")
    pack.write_bytes(pack.read_bytes()[:-1])
    assert store.verify(first)
    with pytest.raises(BlobMissing, match="ends before"):
        store.open(last)
    pack.unlink()
    with pytest.raises(BlobMissing, match="is missing"):
        store.open(first)


def test_a_pack_tells_by_itself_what_it_holds(store: BlobStore, tmp_path: Path) -> None:
    """Where the database is lost, the index can be made again."""
    contents = [b"", b"one", b"two" * 1000]
    digests = put(store, *contents)
    (pack,) = files_below(tmp_path, "packs")
    told = dict(iter_pack(pack, uuid.UUID(pack.stem)))
    assert told == store.locate(digests)
    pack.write_bytes(pack.read_bytes().replace(b"one", b"0ne"))
    whole = [digests[0], digests[2]]
    assert list(dict(iter_pack(pack, uuid.UUID(pack.stem)))) == whole
    pack.write_bytes(pack.read_bytes()[:-1])
    assert list(dict(iter_pack(pack, uuid.UUID(pack.stem)))) == digests[:1]


def test_a_pack_whose_writer_was_killed_is_swept(tmp_path: Path) -> None:
    """P1, between the rename and the index: the pack is whole, and nobody knows of it."""

    class Killed(Exception):
        pass

    class Dies(InMemory):
        def add(self, places: Mapping[bytes, Place]) -> None:
            raise Killed

    write_store_id(tmp_path, uuid.uuid4())
    dying = BlobStore(tmp_path, WORKSPACE, Dies())
    dying.prepare()
    with pytest.raises(Killed):
        put(dying, b"content")
    store = BlobStore(tmp_path, WORKSPACE, InMemory())
    (kept,) = put(store, b"content")
    assert sweep_packs(store, older_than_s=3600) == 0
    assert sweep_packs(store, older_than_s=0) == 1
    assert store.verify(kept)


def test_a_sweep_leaves_live_attempts_alone(store: BlobStore, tmp_path: Path) -> None:
    live, dead = store.create("live"), store.create("dead")
    live.write(LARGE)
    dead.write(LARGE)
    assert sweep_partial(store, live_attempts=frozenset({"live"}), older_than_s=3600) == 0
    assert sweep_partial(store, live_attempts=frozenset({"live"}), older_than_s=0) == 1
    assert [path.name.partition("-")[0] for path in files_below(tmp_path, "partial")] == ["live"]
    live.abandon()
    dead.abandon()


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, DiskFull), (errno.EMFILE, DiskFull), (errno.EIO, StoreBroken)],
)
def test_a_failing_disk_is_told_apart_from_a_full_one(
    store: BlobStore,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: int,
    error: type[Exception],
) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    large, small = store.create("attempt"), store.create("attempt")
    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(error):
        large.write(LARGE)
    small.write(b"x")
    received = small.finish()
    with pytest.raises(error):
        store.commit("attempt", [received])
    monkeypatch.undo()
    large.abandon()
    store.close_attempt("attempt", keep=False)
    assert files_below(tmp_path, "partial") == files_below(tmp_path, "packs") == []
    assert put(store, b"the next one works")


@pytest.mark.parametrize("content", [b"x", LARGE], ids=["small", "large"])
def test_an_error_that_only_the_sync_tells_stops_the_commit(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    writer = store.create("attempt")
    writer.write(content)
    received = writer.finish()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "the disk lied")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreBroken):
        store.commit("attempt", [received])
    monkeypatch.undo()
    assert files_below(tmp_path, "blobs") == files_below(tmp_path, "packs") == []


def test_a_later_attempt_goes_on_from_what_an_earlier_one_left(
    store: BlobStore, tmp_path: Path
) -> None:
    half = b"a" * (WORTH_KEEPING_BYTES + 7)
    first = store.create("first", "key")
    first.write(half)
    store.close_attempt("first", keep=True)
    store.prepare()
    second = store.create("second", "key")
    assert second.size_bytes == len(half)
    first.write(b"a late write of the first")  # its file is no longer the second's
    second.write(b"rest")
    received = second.finish()
    store.commit("attempt", [received])
    assert received.sha256 == hashlib.sha256(half + b"rest").digest()
    assert store.verify(received.sha256)
    assert files_below(tmp_path, "partial") == []


def test_another_key_or_too_few_bytes_begin_anew(store: BlobStore, tmp_path: Path) -> None:
    for key, size in (("other", WORTH_KEEPING_BYTES), ("key", WORTH_KEEPING_BYTES - 1)):
        writer = store.create("first", key)
        writer.write(b"a" * size)
        writer.leave()
    store.close_attempt("first", keep=True)
    store.prepare()
    assert store.create("second", "key").size_bytes == 0
    assert len(files_below(tmp_path, "partial")) == 1
    store.close_attempt("first", keep=False)
    assert files_below(tmp_path, "partial") == []


def test_what_was_taken_over_can_be_given_up(store: BlobStore) -> None:
    writer = store.create("first", "key")
    writer.write(b"a" * WORTH_KEEPING_BYTES)
    writer.leave()
    store.prepare()
    again = store.create("second", "key")
    again.rewind()
    again.write(b"anew")
    received = again.finish()
    store.commit("attempt", [received])
    assert received.sha256 == hashlib.sha256(b"anew").digest()


def test_no_room_for_what_was_left_begins_anew_and_frees_it(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """D01: to keep both the old bytes and a half copy would leave the disk full for good."""
    writer = store.create("first", "key")
    writer.write(LARGE)
    writer.leave()
    store.prepare()

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as full:
        full.setattr(os, "write", fail)
        again = store.create("second", "key")
    assert again.size_bytes == 0
    assert files_below(tmp_path, "partial") == []
    again.write(LARGE)
    received = again.finish()
    store.commit("attempt", [received])
    assert store.verify(received.sha256)


def test_a_name_is_durable_before_anybody_hears_of_it(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P1: after each rename its folder is synced to disk, or a power cut takes the name away again."""
    done: list[tuple[str, str]] = []
    rename, fsync = os.rename, os.fsync

    def renamed(source: str, target: str) -> None:
        rename(source, target)
        done.append(("renamed into", str(Path(target).parent)))

    def synced(fd: int) -> None:
        fsync(fd)
        done.append(("synced", str(Path(f"/proc/self/fd/{fd}").readlink())))

    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    put(store, LARGE, b"small")
    folders = [path for what, path in done if what == "renamed into"]
    assert len(folders) == 2
    for folder in folders:
        assert ("synced", folder) in done[done.index(("renamed into", folder)) :]
