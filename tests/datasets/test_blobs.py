from __future__ import annotations

import errno
import hashlib
import os
import uuid
from pathlib import Path

import pytest

from datasets.blobs import BlobStore, create_store
from datasets.errors import BlobMissing, DiskFull, StoreBroken, StoreMissing
from datasets.partials import SMALL_BYTES, WORTH_KEEPING_BYTES

WORKSPACE = uuid.UUID(int=1)
LARGE = b"x" * (SMALL_BYTES + 1)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    create_store(tmp_path)
    made = BlobStore(tmp_path, WORKSPACE)
    made.prepare()
    return made


def put(store: BlobStore, *contents: bytes) -> list[bytes]:
    received = []
    for content in contents:
        writer = store.create("attempt")
        writer.write(content)
        received.append(writer.finish())
    store.commit(received)
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
        assert store.path(digest).stat().st_mode & 0o7777 == 0o644
    assert files_below(tmp_path, "partial") == []


def test_the_same_content_is_kept_once_and_its_age_refreshed(
    store: BlobStore, tmp_path: Path
) -> None:
    (digest,) = put(store, b"same")
    os.utime(store.path(digest), (1, 1))
    put(store, b"same")
    assert len(files_below(tmp_path, "blobs")) == 1
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
        BlobStore(tmp_path, WORKSPACE).prepare()


def test_a_missing_blob_says_so(store: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        store.open(b"\0" * 32)
    assert not store.holds(b"\0" * 32)


def test_a_changed_blob_is_found(store: BlobStore) -> None:
    (digest,) = put(store, b"content")
    store.path(digest).write_bytes(b"c0ntent")
    assert not store.verify(digest)


def test_a_sweep_leaves_live_attempts_alone(store: BlobStore, tmp_path: Path) -> None:
    live, dead = store.create("live"), store.create("dead")
    live.write(LARGE)
    dead.write(LARGE)
    assert store.sweep_partial(live_attempts=frozenset({"live"}), older_than_s=3600) == 0
    assert store.sweep_partial(live_attempts=frozenset({"live"}), older_than_s=0) == 1
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
        store.commit([received])
    monkeypatch.undo()
    large.abandon()
    store.close_attempt("attempt", keep=False)
    assert files_below(tmp_path, "partial") == []
    assert put(store, b"the next one works")


def test_an_error_that_only_the_sync_tells_stops_the_commit(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    writer = store.create("attempt")
    writer.write(b"x")
    received = writer.finish()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "the disk lied")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreBroken):
        store.commit([received])
    monkeypatch.undo()
    assert files_below(tmp_path, "blobs") == []


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
    store.commit([received])
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
    store.commit([received])
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
    store.commit([received])
    assert store.verify(received.sha256)
