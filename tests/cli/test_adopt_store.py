"""`adopt_store`: a store is lost, moved or copied, and a person says which one counts."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from datasets.models import Dataset, Installation
from datasets.seeing import StoreState, judge_store
from datasets.store import ensure_store, find_known_store
from store.sentinel import SENTINEL, read_store_id, write_store_id
from tests.rows import digests_of, make_version, make_workspace
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db

CONTENTS = {"small.txt": b"small", "large.bin": b"large" * 20_000}
Adopt = Callable[..., dict[str, Any]]


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Path:
    settings.STORE_ROOT = tmp_path / "store"
    return tmp_path / "store"


@pytest.fixture
def dataset(store: Path) -> Dataset:
    dataset = Dataset.objects.create(workspace=make_workspace(), name="files")
    make_version(dataset, CONTENTS)
    return dataset


@pytest.fixture
def adopt(capsys: pytest.CaptureFixture[str]) -> Adopt:
    def run(*words: str) -> dict[str, Any]:
        capsys.readouterr()
        call_command("adopt_store", "--json", *words)
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    return run


def state() -> StoreState:
    return judge_store(find_known_store())


def test_a_first_start_makes_the_store_and_no_later_one_does(store: Path) -> None:
    assert ensure_store() is StoreState.RIGHT
    made = find_known_store()
    assert read_store_id(store) == made is not None
    shutil.rmtree(store)
    assert ensure_store() is StoreState.MISSING
    assert not store.exists()
    write_store_id(store, uuid.uuid4())
    assert ensure_store() is StoreState.FOREIGN
    assert find_known_store() == made


@pytest.mark.parametrize("named", [True, False], ids=["with an id", "without an id"])
def test_a_database_that_knows_no_store_takes_the_one_that_is_there(
    named: bool, store: Path
) -> None:
    """The database was lost, or its store was made before stores had ids."""
    store.mkdir()
    there = uuid.uuid4()
    (store / SENTINEL).write_text(f"store {there}\n" if named else "blobs of SyncProject\n")
    assert ensure_store() is StoreState.RIGHT
    assert (find_known_store() == there) is named


def test_nothing_is_to_be_done_where_the_store_is_right(dataset: Dataset, adopt: Adopt) -> None:
    known = str(find_known_store())
    told = adopt()
    assert (told["store"], told["former"], told["changed"]) == (known, known, False)
    assert not AuditEntry.objects.filter(kind="installation").exists()


def test_a_store_that_lost_its_sentinel_file_is_adopted(
    dataset: Dataset, store: Path, adopt: Adopt
) -> None:
    former = str(find_known_store())
    for spoil in ((store / SENTINEL).unlink, lambda: (store / SENTINEL).write_text("")):
        spoil()
        told = adopt()
        assert (told["former"], told["changed"], told["looked_at"], told["missing"]) == (
            former,
            True,
            2,
            0,
        )
        assert told["store"] == str(read_store_id(store)) != former
        assert state() is StoreState.RIGHT
        former = told["store"]
    assert set(digests_of(dataset)) == set(CONTENTS)
    assert AuditEntry.objects.filter(kind="installation", action="changed").count() == 2


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "another store"])
def test_a_folder_without_the_contents_is_refused_unless_they_are_lost(
    there: str, dataset: Dataset, store: Path, adopt: Adopt
) -> None:
    former = find_known_store()
    store.rename(store.with_name("away"))
    other = uuid.uuid4()
    if there == "another store":
        write_store_id(store, other)
    elif there == "an empty folder":
        store.mkdir()
    with pytest.raises(CommandError, match=r"2 of 2 contents .* --incomplete"):
        call_command("adopt_store")
    assert find_known_store() == former
    assert (store / SENTINEL).exists() is (there == "another store")
    told = adopt("--incomplete")
    assert (told["missing"], told["former"]) == (2, str(former))
    assert (told["store"] == str(other)) is (there == "another store")
    assert state() is StoreState.RIGHT


def test_after_a_move_by_copy_the_old_disk_counts_no_more(
    dataset: Dataset, store: Path, settings: Settings, tmp_path: Path, adopt: Adopt
) -> None:
    shutil.copytree(store, tmp_path / "new disk")
    settings.STORE_ROOT = tmp_path / "new disk"
    assert state() is StoreState.RIGHT  # two copies of one id
    told = adopt("--new-id")
    assert told["changed"] is True
    assert state() is StoreState.RIGHT
    assert set(digests_of(dataset)) == set(CONTENTS)
    settings.STORE_ROOT = store
    assert state() is StoreState.FOREIGN


def test_a_folder_that_cannot_be_one_is_told(store: Path, dataset: Dataset) -> None:
    store.rename(store.with_name("away"))
    store.write_text("a file")
    with pytest.raises(CommandError, match="cannot be adopted"):
        call_command("adopt_store", "--incomplete")
    assert state() is StoreState.MISSING


def test_a_start_without_the_store_goes_on_and_says_so(
    dataset: Dataset, store: Path, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    """What puts it right needs the database, which the one-machine stack starts."""
    store.rename(store.with_name("away"))
    call_command("prepare", "--workspace", "acme")
    out, err = capsys.readouterr()
    told = json.loads(out.splitlines()[-1])
    assert "the store is not mounted" in err
    assert [str(store) in one and "adopt_store" in one for one in told["warnings"]] == [True]
    assert not store.exists()
    Installation.objects.update(place="elsewhere")
    store.with_name("away").rename(store)
    call_command("prepare", "--workspace", "acme")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert ["resume_after_restore" in one for one in told["warnings"]] == [True]
