"""Packs are written anew and indexed anew by the commands; whatever is named can be read all the time."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from datasets.models import DamagedBlob, Dataset, Entry, PackedBlob
from datasets.places import Places
from datasets.store import open_store
from store.blobs import BlobStore
from store.packs import PackContent, Place
from syncjobs.upkeep.sweeping import Removed, sweep, sweep_partials
from tests.rows import make_version, make_workspace
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

KEPT = {f"kept {n}": b"%d" % n * 500 for n in range(3)}
LOST = {f"lost {n}": b"-%d" % n * 500 for n in range(9)}


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def store(workspace: Workspace) -> BlobStore:
    return open_store(workspace.pk)


def hold(workspace: Workspace, name: str, contents: Mapping[str, bytes]) -> Dataset:
    """A dataset of these small files, in a pack of their own."""
    dataset = Dataset.objects.create(workspace=workspace, name=name)
    make_version(dataset, dict(contents))
    return dataset


def lose(contents: Mapping[str, bytes]) -> None:
    """No version names them any more, and a sweep was here."""
    Entry.objects.filter(path__in=list(contents)).delete()
    PackedBlob.objects.update(stored_at="2000-01-01T00:00:00Z")
    assert sweep().blobs == len(contents)


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def can_be_read(store: BlobStore, contents: Mapping[str, bytes]) -> bool:
    return all(store.verify(digest(content)) for content in contents.values())


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (0, 0))


def told_by(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command(*words, "--json")
    (told,) = json.loads(capsys.readouterr().out)["workspaces"]
    return dict(told)


def flip_first_byte(workspace: Workspace, content: bytes) -> Place:
    (place,) = Places(workspace.pk).find([digest(content)]).values()
    pack = settings.STORE_ROOT / str(workspace.pk) / "packs" / f"{place.pack.hex}.pack"
    damaged = bytearray(pack.read_bytes())
    damaged[place.offset] ^= 1
    pack.write_bytes(damaged)
    return place


def test_a_pack_that_lost_most_of_its_contents_is_written_anew_and_goes_a_week_later(
    workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(workspace, "files", KEPT | LOST)
    lose(LOST)
    (old,) = store.find_packs().values()
    age(old)
    size_bytes = old.stat().st_size
    stored = dict(PackedBlob.objects.values_list("sha256", "stored_at"))

    told = told_by(capsys, "compact_packs")

    (new,) = set(store.find_packs().values()) - {old}
    assert told == {
        "workspace": "acme",
        "packs": 1,
        "new_packs": 1,
        "contents": len(KEPT),
        "size_bytes": sum(map(len, KEPT.values())),
        "damaged": 0,
        "freed_bytes": size_bytes - new.stat().st_size,
    }
    assert set(PackedBlob.objects.values_list("pack", flat=True)) == {uuid.UUID(new.stem)}
    assert dict(PackedBlob.objects.values_list("sha256", "stored_at")) == stored  # no sweep waits
    assert sweep_partials() == 0  # somebody may still read there
    assert old.exists()
    age(old, new)
    assert sweep_partials() == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert can_be_read(store, KEPT)
    call_command("compact_packs")
    assert "no pack needs rewriting" in capsys.readouterr().out


def test_a_dry_run_tells_what_there_is_to_do_and_does_nothing(
    workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(workspace, "files", KEPT | LOST)
    lose(LOST)
    before = (list(store.find_packs()), set(PackedBlob.objects.values_list("pack", "offset")))
    told = told_by(capsys, "compact_packs", "--dry-run")
    assert (told["packs"], told["contents"], told["new_packs"]) == (1, len(KEPT), 0)
    assert told["freed_bytes"] > sum(map(len, LOST.values()))
    after = (list(store.find_packs()), set(PackedBlob.objects.values_list("pack", "offset")))
    assert after == before


@pytest.mark.parametrize(("percent", "packs"), [(50, 0), (20, 1)])
def test_a_pack_that_lost_little_stays_as_it_is_unless_it_is_asked_for(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], percent: int, packs: int
) -> None:
    hold(workspace, "files", KEPT | {"lost": b"x" * 1500})
    lose({"lost": b"x" * 1500})
    assert told_by(capsys, "compact_packs", "--lost", str(percent))["packs"] == packs


def test_small_packs_become_one_and_no_later_run_has_anything_to_do(
    workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in KEPT.items():
        hold(workspace, name, {name: content})
    told = told_by(capsys, "compact_packs")
    assert (told["packs"], told["new_packs"], told["contents"]) == (3, 1, 3)
    assert can_be_read(store, KEPT)
    assert PackedBlob.objects.values("pack").distinct().count() == 1
    assert told_by(capsys, "compact_packs")["packs"] == 0


def test_a_damaged_content_stays_where_it_is_and_is_noted(
    workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(workspace, "files", KEPT | LOST)
    lose(LOST)
    place = flip_first_byte(workspace, KEPT["kept 1"])
    told = told_by(capsys, "compact_packs")
    assert (told["contents"], told["damaged"]) == (len(KEPT) - 1, 1)
    (marked,) = DamagedBlob.objects.all()
    assert (bytes(marked.sha256), marked.damage) == (digest(KEPT["kept 1"]), "corrupt")
    assert Places(workspace.pk).find([digest(KEPT["kept 1"])]) == {digest(KEPT["kept 1"]): place}
    old = store.find_packs()[place.pack]
    age(old)
    assert sweep_partials() == 0  # a row names it
    whole = {name: content for name, content in KEPT.items() if name != "kept 1"}
    assert can_be_read(store, whole)


def test_a_content_that_another_has_placed_meanwhile_is_not_moved(workspace: Workspace) -> None:
    index = Places(workspace.pk)
    read, healed, unread = (Place(uuid.uuid4(), offset, 7) for offset in (10, 20, 30))
    new = Place(uuid.uuid4(), 51, 7)
    first, second, third = (digest(b"%d" % n) for n in range(3))
    index.add({first: read, second: read, third: unread})
    index.replace({second: healed})
    assert index.move({first: (read, new), second: (read, new), third: (read, new)}) == {first}
    assert index.find([first, second, third]) == {first: new, second: healed, third: unread}
    assert index.measure([new.pack, read.pack]) == {new.pack: PackContent(1, 7)}
    assert index.find_in(new.pack) == {first: new}


def test_what_the_database_has_lost_is_found_in_the_packs_and_no_sweep_takes_it_before(
    workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(workspace, "files", KEPT)
    hold(workspace, "gone", LOST)
    Entry.objects.filter(path__in=list(LOST)).delete()
    places = Places(workspace.pk).find([digest(content) for content in KEPT.values()])
    PackedBlob.objects.all().delete()
    age(*store.find_packs().values())
    assert sweep() == Removed(leftovers=1, blobs=0, size_bytes=0)  # what nothing names
    told = told_by(capsys, "reindex_packs")
    assert (told["packs"], told["contents"]) == (1, len(KEPT))
    assert (told["added"], told["replaced"]) == (len(KEPT), 0)
    assert Places(workspace.pk).find(list(places)) == places
    assert can_be_read(store, KEPT)
    again = told_by(capsys, "reindex_packs")
    assert (again["added"], again["replaced"]) == (0, 0)


@pytest.mark.parametrize("fault", ["damaged", "gone"])
def test_a_place_that_does_not_hold_is_replaced_by_one_that_does(
    fault: str, workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    content = KEPT["kept 0"]
    hold(workspace, "files", {"kept 0": content})
    PackedBlob.objects.all().delete()
    hold(workspace, "copy", {"copy": content})
    (place,) = Places(workspace.pk).find([digest(content)]).values()
    if fault == "damaged":
        flip_first_byte(workspace, content)
        assert not store.verify(digest(content))
    else:
        store.find_packs()[place.pack].unlink()
        call_command_and_fail("scrub")
    assert DamagedBlob.objects.count() == 1
    told = told_by(capsys, "reindex_packs")
    assert (told["added"], told["replaced"]) == (0, 1)
    assert store.verify(digest(content))
    assert not DamagedBlob.objects.exists()


def call_command_and_fail(*words: str) -> None:
    with pytest.raises(SystemExit):
        call_command(*words)


def test_a_damaged_content_hides_none_that_stands_behind_it(
    workspace: Workspace, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(workspace, "files", KEPT)
    flip_first_byte(workspace, KEPT["kept 0"])
    PackedBlob.objects.all().delete()
    assert told_by(capsys, "reindex_packs")["added"] == len(KEPT) - 1
    assert can_be_read(store, {name: KEPT[name] for name in ("kept 1", "kept 2")})


@pytest.mark.parametrize("command", ["compact_packs", "reindex_packs"])
def test_a_store_that_is_not_here_is_an_error_and_not_an_empty_one(
    command: str, workspace: Workspace, settings: Settings, tmp_path: Path
) -> None:
    hold(workspace, "files", KEPT)
    settings.STORE_ROOT = tmp_path / "elsewhere"
    with pytest.raises(CommandError, match="elsewhere"):
        call_command(command)
