"""A checkout is whole or says what is not, and nothing leads out of its folder."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from datasets.checkout import Tree, TreeFile, check_out
from store.blobs import BlobStore
from store.sentinel import write_store_id
from tests.datasets.test_blobs import WORKSPACE, InMemory, put

CONTENTS = {"a/1": b"small", "a/2": os.urandom(200_001), "a/b/3": b"three", "z": b"last"}


@pytest.fixture
def index() -> InMemory:
    return InMemory()


@pytest.fixture
def store(tmp_path: Path, index: InMemory) -> BlobStore:
    write_store_id(tmp_path / "store", uuid.uuid4())
    made = BlobStore(tmp_path / "store", WORKSPACE, index)
    made.prepare()
    return made


@pytest.fixture
def files(store: BlobStore) -> list[TreeFile]:
    digests = put(store, *CONTENTS.values())
    return [
        TreeFile(path, digest, len(CONTENTS[path]), 1_700_000_000_000_000_000)
        for path, digest in zip(CONTENTS, digests, strict=True)
    ]


def held_below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_checkout_is_what_was_stored(
    store: BlobStore, files: list[TreeFile], tmp_path: Path
) -> None:
    tree = check_out(files, store, tmp_path / "out")
    assert tree == Tree(4, sum(map(len, CONTENTS.values())), [])
    assert held_below(tmp_path / "out") == CONTENTS
    stat = (tmp_path / "out/a/b/3").stat()
    assert (stat.st_mtime_ns, stat.st_mode & 0o7777) == (1_700_000_000_000_000_000, 0o644)


@pytest.mark.parametrize("how", ["flipped", "short", "gone"])
@pytest.mark.parametrize("path", ["a/1", "a/2"])
def test_what_is_damaged_is_told_and_not_left_there(
    store: BlobStore, index: InMemory, files: list[TreeFile], tmp_path: Path, path: str, how: str
) -> None:
    digest = next(file.sha256 for file in files if file.path == path)
    place = index.places.get(digest)
    blob, offset = store.path(digest), 0
    if place is not None:
        blob, offset = next((tmp_path / "store").rglob("*.pack")), place.offset
    if how == "flipped":
        content = bytearray(blob.read_bytes())
        content[offset] ^= 1
        blob.write_bytes(content)
    elif how == "short":
        os.truncate(blob, offset + 1)
    else:
        blob.unlink()
    tree = check_out(files, store, tmp_path / "out")
    assert path in [each for each, _ in tree.refused]
    held = held_below(tmp_path / "out")
    assert len(held) == tree.files == len(CONTENTS) - len(tree.refused)
    assert held.items() <= CONTENTS.items()
    assert digest in index.marked
    if path == "a/2":
        assert len(tree.refused) == 1  # the others come all the same


@pytest.mark.parametrize("folder", ["a", "a/b"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_folder_that_is_exchanged_meanwhile_leads_nowhere(
    store: BlobStore, files: list[TreeFile], tmp_path: Path, folder: str, kind: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    destination = tmp_path / "out"

    def exchange(file: TreeFile) -> None:
        if file.path != "a/1":
            return
        if (destination / folder).exists():
            (destination / folder).rename(tmp_path / "moved")
        if kind == "link":
            (destination / folder).symlink_to(outside / "b" if folder == "a/b" else outside)
        else:
            (destination / folder).touch()

    tree = check_out(files, store, destination, advance=exchange)
    assert held_below(outside) == {}
    below = [path for path in CONTENTS if path.startswith(f"{folder}/") and path != "a/1"]
    assert [path for path, _ in tree.refused] == below
    assert (destination / "z").read_bytes() == b"last"


def test_a_destination_that_is_exchanged_leads_nowhere(
    store: BlobStore, files: list[TreeFile], tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    destination = tmp_path / "out"

    def exchange(file: TreeFile) -> None:
        if file.path == "a/1":
            destination.rename(tmp_path / "moved")
            destination.symlink_to(tmp_path / "outside")

    check_out(files, store, destination, advance=exchange)
    assert held_below(tmp_path / "outside") == {}
    assert held_below(tmp_path / "moved") == CONTENTS


def test_no_path_leads_out(store: BlobStore, files: list[TreeFile], tmp_path: Path) -> None:
    digest = files[0].sha256
    bad = [TreeFile(path, digest, 5, None) for path in ("../x", "/x", "a/../../x")]
    assert len(check_out(bad, store, tmp_path / "out").refused) == 3
    assert held_below(tmp_path / "out") == {}
    assert not (tmp_path / "x").exists()
