"""The texts of an index follow the versions of their dataset."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from datasets.models import Dataset
from datasets.store import open_store
from search.core.wishes import IndexWish
from search.indexing.marking import ask_reindex, note_wish
from search.indexing.troubles import TroubleSource, list_troubles
from search.models import DatasetIndex, IndexedText, SearchChoice, TextChunk, TextPaths
from tests.search.indexes import (
    a_session,
    chunks_of,
    digest,
    fresh_chunks_of,
    has_true_counts,
    index,
    make_dataset,
    publish,
)

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {
    "a.md": b"# Install\n\nThe HeaderMismatch of V-1138 is told on Linux.\n",
    "b.txt": b"A second text tells of ferries.\n",
    "copy/a.md": b"# Install\n\nThe HeaderMismatch of V-1138 is told on Linux.\n",
    "picture.png": b"\x89PNG\0\0\0" * 10,
}


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


def facts(dataset: Dataset) -> dict[str, Any]:
    return dict(DatasetIndex.objects.values(
        "state", "published_version", "indexed_version", "pending_texts", "text_count",
        "refused_count", "chunk_count", "reason",
    ).get(dataset=dataset))  # fmt: skip


def finds(dataset: Dataset, query: str) -> set[str]:
    """Paths whose current content holds it, in the way in which a search joins."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.path FROM search_textchunk c JOIN search_indexedtext t ON t.id = c.text_id"
            " JOIN datasets_entry e ON e.dataset_id = t.dataset_id AND e.sha256 = t.sha256 AND e.until IS NULL"
            " WHERE c.dataset_id = %s AND c.words @@ %s::tsquery",
            [dataset.pk, query],
        )
        return {path for (path,) in cursor.fetchall()}


def test_each_content_is_indexed_once_and_found_by_all_its_paths(dataset: Dataset) -> None:
    publish(dataset, FILES)
    assert facts(dataset)["state"] == "catching_up"
    told: list[tuple[int, int]] = []
    index(dataset, told=lambda done, total: told.append((done, total)))
    assert facts(dataset) == {
        "state": "current", "published_version": 1, "indexed_version": 1, "pending_texts": 0,
        "text_count": 2, "refused_count": 1, "chunk_count": 2, "reason": "",
    }  # fmt: skip
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert finds(dataset, "mismatch") == {"a.md", "copy/a.md"}
    assert finds(dataset, "ferri") == {"b.txt"}
    refused = IndexedText.objects.get(dataset=dataset, state="refused")
    assert refused.code == "binary"
    assert has_true_counts(dataset)


def test_a_change_touches_what_changed_alone(dataset: Dataset) -> None:
    publish(dataset, FILES)
    index(dataset)
    before = set(TextChunk.objects.values_list("pk", flat=True))
    publish(
        dataset, FILES | {"b.txt": b"A second text tells of trains.\n", "renamed.md": FILES["a.md"]}
    )
    assert finds(dataset, "ferri") == set()  # before anybody has indexed anything
    assert finds(dataset, "mismatch") == {"a.md", "copy/a.md", "renamed.md"}
    told: list[tuple[int, int]] = []
    index(dataset, told=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    assert finds(dataset, "train") == {"b.txt"}
    assert before < set(TextChunk.objects.values_list("pk", flat=True))
    assert facts(dataset)["chunk_count"] == 2
    assert has_true_counts(dataset)
    assert chunks_of(dataset) == fresh_chunks_of(dataset)


def test_what_is_gone_is_kept_for_a_while_and_comes_back_without_being_read(
    dataset: Dataset,
) -> None:
    publish(dataset, FILES)
    index(dataset)
    publish(dataset, {"a.md": FILES["a.md"]})
    index(dataset)
    assert IndexedText.objects.get(sha256=digest(FILES["b.txt"])).gone_at is not None
    assert finds(dataset, "ferri") == set()
    publish(dataset, FILES)
    assert finds(dataset, "ferri") == {"b.txt"}  # at once
    told: list[tuple[int, int]] = []
    index(dataset, told=lambda done, total: told.append((done, total)))
    assert told == []
    assert has_true_counts(dataset)
    publish(dataset, {"a.md": FILES["a.md"]})
    index(dataset, keep_s=0)
    index(dataset, keep_s=0)
    assert set(IndexedText.objects.values_list("sha256", flat=True)) == {digest(FILES["a.md"])}
    assert TextChunk.objects.count() == 1
    assert has_true_counts(dataset)


def test_what_is_gone_is_never_more_than_what_is_there(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.indexing.emptying.KEPT_CHUNKS", 2)
    for number in range(5):
        publish(dataset, {"a.txt": b"version %d of the text" % number})
        index(dataset)
    assert TextChunk.objects.count() == 3
    assert IndexedText.objects.filter(gone_at=None).count() == 1


def test_a05_an_index_that_is_current_is_not_written(dataset: Dataset) -> None:
    publish(dataset, FILES)
    index(dataset)
    before = _writes()
    assert index(dataset).texts == 0
    assert _writes() == before


def _writes() -> list[tuple[str, ...]]:
    """A row that is written gets another place or another transaction."""
    with connection.cursor() as cursor:
        rows: list[tuple[str, ...]] = []
        for table in ("datasetindex", "indexedtext", "textchunk"):
            cursor.execute(
                f"SELECT '{table}', ctid::text, xmin::text FROM search_{table} ORDER BY 2"  # noqa: S608 — our own names
            )
            rows += cursor.fetchall()
    return rows


def paths_of(dataset: Dataset, word: str) -> set[bytes]:
    """Contents of which some path is known to hold the word."""
    rows = TextPaths.objects.filter(dataset=dataset, words=word).values_list("text__sha256")
    return {bytes(sha256) for (sha256,) in rows}


def test_a_file_that_moves_takes_the_words_of_its_path_along_and_is_not_read(
    dataset: Dataset,
) -> None:
    publish(dataset, {"bills/a.txt": b"one text", "copy/a.txt": b"one text", "b.txt": b"another"})
    index(dataset)
    chunks = set(TextChunk.objects.values_list("pk", flat=True))
    assert paths_of(dataset, "bill") == paths_of(dataset, "copy") == {digest(b"one text")}
    publish(dataset, {"moved/a.txt": b"one text", "b.txt": b"another"})
    told: list[tuple[int, int]] = []
    index(dataset, told=lambda done, total: told.append((done, total)))
    assert told == []
    assert set(TextChunk.objects.values_list("pk", flat=True)) == chunks
    assert paths_of(dataset, "bill") == paths_of(dataset, "copy") == set()
    assert paths_of(dataset, "moved") == {digest(b"one text")}
    publish(dataset, {"b.txt": b"another"})
    index(dataset)
    assert TextPaths.objects.filter(dataset=dataset).count() == 1
    publish(dataset, {"back/a.txt": b"one text", "b.txt": b"another"})
    index(dataset)
    assert paths_of(dataset, "back") == {digest(b"one text")}
    with connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.OFF)
    index(dataset)
    assert not TextPaths.objects.exists()


def test_a_spent_budget_leaves_the_rest_with_a_reason(dataset: Dataset) -> None:
    publish(dataset, {f"{n}.txt": b"text number %d" % n for n in range(5)})
    done = index(dataset, budget_s=0)
    assert (done.texts, done.pending_texts) == (1, 4)
    assert facts(dataset)["state"] == "catching_up"
    assert facts(dataset)["reason"] == done.reason == "the rest of the texts is left to the queue"
    assert has_true_counts(dataset)
    index(dataset)
    assert facts(dataset)["state"] == "current"
    assert chunks_of(dataset) == fresh_chunks_of(dataset)


def test_texts_are_read_while_the_batch_before_them_is_written(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.indexing.stage.BATCH_TEXTS", 1)
    publish(dataset, {f"{n}.txt": b"text number %d" % n for n in range(5)})
    with a_session() as other:

        def hold(done: int, _total: int) -> None:
            if done == 1:
                other.execute("BEGIN")
                other.execute(
                    "SELECT FROM search_datasetindex WHERE dataset_id = %s FOR UPDATE", [dataset.pk]
                )
            if done == 2:  # the database writes the first one, and waits for us
                other.execute("COMMIT")

        done = index(dataset, told=hold)
    assert (done.texts, done.pending_texts) == (5, 0)
    assert has_true_counts(dataset)
    assert chunks_of(dataset) == fresh_chunks_of(dataset)


def test_a_damaged_blob_leaves_its_text_waiting_and_no_other(dataset: Dataset) -> None:
    publish(dataset, {"whole.txt": b"whole", "broken.txt": b"broken" * 20_000})
    path = open_store(dataset.workspace_id).path(digest(b"broken" * 20_000))
    content = path.read_bytes()
    path.write_bytes(b"x" + content[1:])
    index(dataset)
    held = facts(dataset)
    assert held["state"] == "catching_up"
    assert held["reason"].startswith("blob_damaged: broken.txt: ")
    assert (held["pending_texts"], held["text_count"]) == (1, 1)
    assert DatasetIndex.objects.get().not_before is not None  # nobody tries in a loop
    path.write_bytes(content)
    assert index(dataset).texts == 0  # not at once
    IndexedText.objects.filter(state="pending").update(at="2000-01-01T00:00Z")
    index(dataset)
    assert facts(dataset)["state"] == "current"
    assert facts(dataset)["reason"] == ""
    assert has_true_counts(dataset)


def test_a_text_of_which_the_end_is_not_read_is_told_as_a_trouble(dataset: Dataset) -> None:
    publish(
        dataset,
        {"long.log": b"a line of many words\n" * 400_000 + b"behind\n", "short.log": b"short\n"},
    )
    index(dataset)
    assert (finds(dataset, "many"), finds(dataset, "behind")) == ({"long.log"}, set())
    [trouble] = list_troubles(dataset.pk, source=TroubleSource.TEXT, after=0, most=10)
    assert (trouble.path, trouble.code) == ("long.log", "too_large")
    assert "first 8,000,000 characters" in trouble.detail
    held = DatasetIndex.objects.get(dataset=dataset)
    assert (held.state, held.text_count, held.refused_count) == ("current", 2, 0)
    publish(dataset, {"long.log": b"behind\n", "short.log": b"short\n"})
    index(dataset)
    assert not list_troubles(dataset.pk, source=TroubleSource.TEXT, after=0, most=10)


def test_a_reindex_makes_every_text_again_and_keeps_the_chunks_that_stay(dataset: Dataset) -> None:
    publish(dataset, FILES)
    index(dataset)
    before = list(TextChunk.objects.order_by("pk").values_list("pk", flat=True))
    TextChunk.objects.update(words="'wrong'", line=99)
    text = IndexedText.objects.get(sha256=digest(FILES["b.txt"]))
    TextChunk.objects.create(
        workspace=dataset.workspace, dataset=dataset, text=text, n=7, body="no longer", digest=b"x" * 16, words="'no'"
    )  # fmt: skip
    IndexedText.objects.filter(pk=text.pk).update(chunk_count=2)
    with connection.cursor() as cursor:
        ask_reindex(cursor, dataset.pk)
    assert facts(dataset)["state"] == "catching_up"
    index(dataset)
    assert facts(dataset)["state"] == "current"
    assert list(TextChunk.objects.order_by("pk").values_list("pk", flat=True)) == before
    assert chunks_of(dataset) == fresh_chunks_of(dataset)
    assert has_true_counts(dataset)


def test_another_language_makes_the_words_again_and_ten_fit(dataset: Dataset) -> None:
    publish(dataset, {"a.txt": b"Die Haeuser stehen"})
    index(dataset)
    assert finds(dataset, "steh") == set()
    languages = [
        "danish",
        "dutch",
        "english",
        "finnish",
        "french",
        "german",
        "hungarian",
        "italian",
        "norwegian",
    ]
    SearchChoice.objects.create(workspace=dataset.workspace, languages=languages)
    assert index(dataset).texts == 1
    assert finds(dataset, "steh") == {"a.txt"}
    assert facts(dataset)["state"] == "current"
    assert index(dataset).texts == 0


def test_an_index_that_is_switched_off_is_emptied_and_comes_back_whole(dataset: Dataset) -> None:
    publish(dataset, FILES)
    index(dataset)
    with connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.OFF)
    assert facts(dataset)["state"] == "off"
    index(dataset)
    assert not TextChunk.objects.exists()
    assert not IndexedText.objects.exists()
    publish(dataset, FILES | {"c.txt": b"new"})
    index(dataset)
    assert facts(dataset)["state"] == "off"
    assert not IndexedText.objects.exists()
    with connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.WORDS)
    assert facts(dataset)["state"] == "catching_up"
    index(dataset)
    assert facts(dataset)["state"] == "current"
    assert chunks_of(dataset) == fresh_chunks_of(dataset)
    assert has_true_counts(dataset)
