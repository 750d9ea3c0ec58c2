"""Judges the index after a run: of each current file it holds what a first index of it would, and each chunk has one vector,
that of its own text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from tests.faults.checking import Checked
from tests.hosts.scripted_embeddings import vector_of

_NEAR = 2e-3  # halfvec has 11 bits


def check_indexes(checked: Checked) -> None:
    from django.db import connection

    from datasets.models import Dataset
    from tests.search.chunks import read_vectors
    from tests.search.indexes import chunks_of, fresh_chunks_of, has_true_counts

    connection.close()  # it may be of a database that was restarted
    vectors = _by_dataset(read_vectors())
    chunk_count = 0
    for dataset in Dataset.objects.order_by("name"):
        held = chunks_of(dataset)
        chunk_count += sum(map(len, held.values()))
        _compare(checked, dataset.name, held, fresh_chunks_of(dataset))
        if not has_true_counts(dataset):
            checked.find("index.counts", dataset.name, "the counts are not those of the rows")
        _check_vectors(checked, dataset.name, _bodies_of(held), vectors[dataset.pk])
    checked.figures["index"] = f"{chunk_count} chunks, {sum(map(len, vectors.values()))} vectors"


def _compare(checked: Checked, dataset: str, held: dict[str, Any], fresh: dict[str, Any]) -> None:
    for path in sorted(held.keys() | fresh.keys()):
        got, expected = held.get(path, []), fresh.get(path, [])
        if got != expected:
            words = f"{len(got)} chunks held, {len(expected)} of a fresh index"
            checked.find("index.differs", f"{dataset}/{path}", words)


def _bodies_of(held: dict[str, Any]) -> set[str]:
    return {body for chunks in held.values() for _, _, _, _, body, _, _ in chunks}


def _check_vectors(
    checked: Checked, dataset: str, bodies: Iterable[str], vectors: list[dict[str, Any]]
) -> None:
    """`bodies` are the current chunks'; chunks of older contents may still have theirs."""
    served = Counter(row["body"] for row in vectors)
    for body in bodies:
        if not served[body]:
            checked.find("index.no_vector", dataset, repr(body[:60]))
    for row in vectors:
        expected = _unit(vector_of(row["body"]))
        if any(abs(a - b) > _NEAR for a, b in zip(row["vector"], expected, strict=True)):
            checked.find("index.other_vector", dataset, repr(row["body"][:60]))


def _unit(vector: list[float]) -> list[float]:
    length = sum(value * value for value in vector) ** 0.5
    return [value / length for value in vector]


def _by_dataset(rows: list[dict[str, Any]]) -> defaultdict[Any, list[dict[str, Any]]]:
    found: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["dataset"]].append(row)
    return found
