"""Chunks for tests of vectors, as the text stage writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.models import F

from datasets.models import Dataset
from search.core.passages import digest_passage
from search.core.wishes import IndexWish
from search.models import DatasetIndex, IndexedText, IndexState
from search.vectors.leases import IndexLease, claim_index
from search.vectors.rounds import VectorRound, index_vectors
from search.vectors.tables import find_vector_tables
from tests.rows import make_workspace

_INSERT = """
INSERT INTO search_textchunk (workspace_id, dataset_id, text_id, n, line, place, heading, body, digest, words)
VALUES (%s, %s, %s, %s, 1, '', '', %s, %s, to_tsvector('simple', %s))
"""


def make_dataset(name: str = "handbook", workspace: str = "acme") -> Dataset:
    return Dataset.objects.get_or_create(workspace=make_workspace(workspace), name=name)[0]


def add_text(dataset: Dataset, bodies: Sequence[str]) -> IndexedText:
    """One content whose chunks are these."""
    text = IndexedText.objects.create(
        workspace=dataset.workspace,
        dataset=dataset,
        sha256=hashlib.sha256("\n".join(bodies).encode()).digest(),
        state="done",
        kind=".md",
        chunk_count=len(bodies),
    )
    with connection.cursor() as cursor:
        for number, body in enumerate(bodies):
            digest = digest_passage("", body)
            cursor.execute(
                _INSERT,
                [dataset.workspace_id, dataset.pk, text.pk, number, body, digest, body],
            )
    index, _ = DatasetIndex.objects.get_or_create(
        dataset=dataset,
        defaults={
            "workspace": dataset.workspace,
            "wish": IndexWish.WORDS_AND_MEANING,
            "published_version": 1,
            "indexed_version": 1,
        },
    )
    DatasetIndex.objects.filter(pk=index.pk).update(
        state=IndexState.CATCHING_UP,
        text_count=F("text_count") + 1,
        chunk_count=F("chunk_count") + len(bodies),
        pending_chunks=F("pending_chunks") + len(bodies),
    )
    return text


@contextmanager
def leased(dataset: Dataset) -> Iterator[IndexLease]:
    lease = claim_index(dataset.pk, "test")
    assert lease is not None
    try:
        yield lease
    finally:
        lease.release()


def index_once(dataset: Dataset, budget_s: float = 60.0) -> VectorRound:
    """One round, as the queue does it."""
    with leased(dataset) as lease:
        return index_vectors(lease, check=lambda: None, budget_s=budget_s)


def index_of(dataset: Dataset) -> DatasetIndex:
    return DatasetIndex.objects.get(pk=dataset.pk)


def read_vectors() -> list[dict[str, Any]]:
    """Every vector that is kept, with its chunk's words."""
    found: list[dict[str, Any]] = []
    for table, dimensions in find_vector_tables():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT v.generation, v.dataset_id, v.workspace_id, c.body, v.embedding::text"  # noqa: S608
                f" FROM {table} v JOIN search_textchunk c ON c.id = v.chunk_id ORDER BY c.id"
            )
            for generation, dataset_id, workspace_id, body, embedding in cursor.fetchall():
                found.append(
                    {
                        "generation": generation,
                        "dataset": dataset_id,
                        "workspace": workspace_id,
                        "body": body,
                        "dimensions": dimensions,
                        "vector": [float(one) for one in embedding.strip("[]").split(",")],
                    }
                )
    return found
