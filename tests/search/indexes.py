"""Datasets with versions and an index, as a record and the queue leave them; and what an index holds."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection, transaction

from database.sessions import open_session
from datasets.models import Dataset, Entry, Version
from datasets.store import open_store
from search.choices import find_languages
from search.core.wishes import IndexWish
from search.indexing.marking import note_published
from search.indexing.stage import TextsIndexed, TextStage
from search.models import DatasetIndex, IndexedText, TextChunk
from tests.rows import make_workspace

WEEK_S = 7 * 24 * 3600.0
Chunks = list[tuple[int, int | None, str, str, str, bytes, str]]


def make_dataset(name: str = "handbook", workspace: str = "acme") -> Dataset:
    return Dataset.objects.create(workspace=make_workspace(workspace), name=name)


def publish(
    dataset: Dataset, files: Mapping[str, bytes], *, wish: IndexWish = IndexWish.WORDS
) -> Version:
    """Makes the next version, which holds just these files, as a record does: what stays has its entry."""
    store = open_store(dataset.workspace_id)
    store.prepare()
    received = {}
    for path, content in files.items():
        writer = store.create("test")
        writer.write(content)
        received[path] = writer.finish()
    store.commit("test", received.values())
    with transaction.atomic():
        number = dataset.versions.count() + 1
        current = {entry.path: entry for entry in dataset.entries.filter(until=None)}
        same = {
            path for path, got in received.items()
            if path in current and bytes(current[path].sha256) == got.sha256
        }  # fmt: skip
        dataset.entries.filter(until=None).exclude(path__in=same).update(until=number)
        Entry.objects.bulk_create(
            Entry(dataset=dataset, path=path, size_bytes=got.size_bytes, sha256=got.sha256, since=number)
            for path, got in received.items() if path not in same
        )  # fmt: skip
        dataset.versions.filter(is_current=True).update(is_current=False)
        version = Version.objects.create(
            dataset=dataset,
            number=number,
            record_id=uuid.uuid4(),
            file_count=len(files),
            size_bytes=sum(map(len, files.values())),
        )
        with connection.cursor() as cursor:
            note_published(cursor, dataset.pk, wish)
    return version


@contextmanager
def a_session() -> Iterator[psycopg.Connection[Any]]:
    session = open_session(statement_timeout_s=60, name="index test")
    try:
        yield session
    finally:
        session.close()


def index(
    dataset: Dataset,
    *,
    budget_s: float = 600,
    keep_s: float = WEEK_S,
    check: Callable[[], None] = lambda: None,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> TextsIndexed:
    """Does the text stage on it."""
    with a_session() as session:
        return TextStage(
            session=session,
            dataset_id=dataset.pk,
            store=open_store(dataset.workspace_id),
            languages=find_languages(dataset.workspace_id),
            budget_s=budget_s,
            keep_s=keep_s,
            check=check,
            told=told,
        ).run()


def chunks_of(dataset: Dataset) -> dict[str, Chunks]:
    """By current path: what the index holds of its content."""
    found: dict[str, Chunks] = {}
    for entry in dataset.entries.filter(until=None):
        chunks = TextChunk.objects.filter(
            dataset=dataset, text__dataset=dataset, text__sha256=entry.sha256
        ).order_by("n")
        found[entry.path] = [
            (one.n, one.line, one.place, one.heading, one.body, bytes(one.digest), str(one.words))
            for one in chunks
        ]
    return found


def fresh_chunks_of(dataset: Dataset) -> dict[str, Chunks]:
    """What a first index of the current version holds."""
    with transaction.atomic():
        copy = Dataset.objects.create(workspace=dataset.workspace, name=f"{dataset.name}-copy")
        entries = list(dataset.entries.filter(until=None))
        for entry in entries:
            entry.pk, entry.dataset, entry.since = None, copy, 1
        Entry.objects.bulk_create(entries)
        Version.objects.create(dataset=copy, number=1, file_count=len(entries), size_bytes=0)
        with connection.cursor() as cursor:
            note_published(cursor, copy.pk, IndexWish.WORDS)
    index(copy)
    chunks = chunks_of(copy)
    forget(copy)
    return chunks


def forget(dataset: Dataset) -> None:
    TextChunk.objects.filter(dataset=dataset).delete()
    IndexedText.objects.filter(dataset=dataset).delete()
    dataset.delete()


def has_true_counts(dataset: Dataset) -> bool:
    """Whether the counts of an index are those of its rows."""
    held = DatasetIndex.objects.get(dataset=dataset)
    texts = IndexedText.objects.filter(dataset=dataset, gone_at=None)
    states = list(texts.values_list("state", flat=True))
    chunks = TextChunk.objects.filter(dataset=dataset, text__gone_at=None).count()
    told = (held.pending_texts, held.text_count, held.refused_count, held.chunk_count)
    return told == (*(states.count(state) for state in ("pending", "done", "refused")), chunks)


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
