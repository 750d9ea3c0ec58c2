"""A person has an index made again; the queue makes texts and vectors of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from datasets.models import Dataset, DatasetKind
from search.core.wishes import IndexWish
from search.indexing.asking import (
    NO_FILES,
    NO_VERSION,
    IndexIsOff,
    NothingToIndex,
    read_index,
    remake_index,
)
from search.indexing.catching_up import catch_up
from search.indexing.marking import note_wish
from search.indexing.tidying import drop_old_texts
from search.models import DatasetIndex, IndexedText, TextChunk
from store.sentinel import SENTINEL
from tests.search.indexes import (
    chunks_of,
    fresh_chunks_of,
    has_true_counts,
    index,
    make_dataset,
    publish,
)
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {f"{number}.txt": b"text number %d" % number for number in range(5)}


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


def work(dataset: Dataset) -> bool:
    """One turn of the queue."""
    return catch_up(dataset.pk, owner="test", check=lambda: None)


def held(dataset: Dataset) -> DatasetIndex:
    return DatasetIndex.objects.get(dataset=dataset)


def test_the_queue_makes_the_texts_that_no_record_has_made(dataset: Dataset) -> None:
    publish(dataset, FILES)
    assert work(dataset) is False
    assert (held(dataset).state, held(dataset).text_count) == ("current", 5)
    assert chunks_of(dataset) == fresh_chunks_of(dataset)


def test_the_queue_asks_for_another_turn_when_its_time_is_up(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(dataset, FILES)
    monkeypatch.setattr("search.indexing.catching_up.TEXTS_S", 0.0)
    turns = 1
    while work(dataset):
        turns += 1
    assert turns == 5
    assert held(dataset).state == "current"
    assert has_true_counts(dataset)


def test_a_reindex_of_equal_parts_keeps_each_of_them(dataset: Dataset) -> None:
    """They are told apart by number: thousands of them are no millions of pairs."""
    repeated = b"".join(b"%s\n" % (b"word " * 60) for _ in range(4_000))
    publish(dataset, {"repeated.txt": repeated, "other.txt": b"another text\n"})
    work(dataset)
    before = dict(TextChunk.objects.filter(dataset=dataset).values_list("n", "pk"))
    remake_index(dataset)
    assert work(dataset) is False
    assert dict(TextChunk.objects.filter(dataset=dataset).values_list("n", "pk")) == before
    assert held(dataset).state == "current"


def test_a_store_that_is_away_is_told_and_not_asked_in_a_loop(dataset: Dataset) -> None:
    publish(dataset, {"large.txt": b"a text that lies by itself " * 4_000})
    sentinel = settings.STORE_ROOT / SENTINEL
    moved = sentinel.rename(sentinel.with_suffix(".away"))
    blobs = settings.STORE_ROOT / str(dataset.workspace_id)
    gone = blobs.rename(blobs.with_suffix(".away"))
    try:
        assert work(dataset) is False
    finally:
        moved.rename(sentinel)
        gone.rename(blobs)
    assert held(dataset).state == "catching_up"
    assert held(dataset).reason.startswith("store_missing: ")
    assert held(dataset).not_before is not None
    work(dataset)
    assert held(dataset).state == "current"


def test_a_reindex_is_asked_audited_and_done_by_the_queue(dataset: Dataset) -> None:
    publish(dataset, FILES)
    index(dataset)
    TextChunk.objects.update(body="wrong")
    asked = remake_index(dataset)
    assert (asked.dataset, asked.state, asked.chunk_count) == ("handbook", "catching_up", 5)
    entry = AuditEntry.objects.get(action="reindexed")
    assert (entry.object_name, entry.workspace_id) == ("handbook", dataset.workspace_id)
    TextChunk.objects.update(digest=b"another")  # what was cut otherwise then
    work(dataset)
    assert read_index(dataset).state == "current"
    assert chunks_of(dataset) == fresh_chunks_of(dataset)
    assert has_true_counts(dataset)


def test_what_has_no_index_is_not_made_again(dataset: Dataset) -> None:
    assert read_index(dataset).reason == NO_VERSION
    with pytest.raises(NothingToIndex, match=NO_VERSION):
        remake_index(dataset)
    publish(dataset, FILES)
    with connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.OFF)
    with pytest.raises(IndexIsOff):
        remake_index(dataset)
    table = Dataset.objects.create(
        workspace=dataset.workspace, name="sales", kind=DatasetKind.TABLE
    )
    assert (read_index(table).state, read_index(table).reason) == ("off", NO_FILES)
    with pytest.raises(NothingToIndex, match=NO_FILES):
        remake_index(table)


def test_a_dataset_of_before_there_was_an_index_gets_one(dataset: Dataset) -> None:
    publish(dataset, FILES)
    DatasetIndex.objects.all().delete()
    assert read_index(dataset).current_version == 1
    assert remake_index(dataset).state == "catching_up"
    work(dataset)
    assert held(dataset).state == "current"


def test_old_texts_go_though_nothing_changes(dataset: Dataset) -> None:
    publish(dataset, FILES)
    index(dataset)
    publish(dataset, {"0.txt": FILES["0.txt"]})
    index(dataset)
    assert drop_old_texts() == 0
    IndexedText.objects.exclude(gone_at=None).update(gone_at="2000-01-01T00:00Z")
    assert drop_old_texts() == 4
    assert TextChunk.objects.count() == 1
    assert has_true_counts(dataset)


def test_the_command_asks_and_waits(
    dataset: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(dataset, FILES)
    index(dataset)
    call_command("reindex", "handbook")
    assert capsys.readouterr().out == ("handbook: catching_up, 5 texts in 5 chunks\n")

    def watch(ended: Any, look: Any, write: Any) -> None:
        work(dataset)
        assert look()[1] == 100
        assert ended()

    monkeypatch.setattr("cli.management.commands.reindex.watch", watch)
    call_command("reindex", "handbook", "--wait", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "dataset": "handbook", "dataset_id": str(dataset.pk), "state": "current", "indexed_version": 1,
        "current_version": 1, "pending_texts": 0, "pending_chunks": 0, "since": None, "reason": "",
        "chunk_count": 5, "text_count": 5, "refused_count": 0, "generation": {"service": "builtin", "model": "usem3", "dimensions": 512},
        "building": None,
    }  # fmt: skip
    with pytest.raises(CommandError, match="no dataset 'other'"):
        call_command("reindex", "other")
