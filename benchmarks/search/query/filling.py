"""A large index, made of the labelled documents: their chunks again and again, each with words and vectors of its own."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection

from datasets.models import Dataset, Version
from search.core.lexemes import DEFAULT_LANGUAGES, compose_words
from search.embedding.builtin import the_model
from search.models import DatasetIndex, GenerationState, IndexGeneration, IndexState, TextChunk
from search.vectors.graphs import tend_graph
from search.vectors.tables import ChunkVector, copy_vectors, ensure_vector_table
from workspaces.models import Workspace

SHARES = {"forty": 0.4, "thirty": 0.3, "nineteen": 0.19, "ten": 0.1, "one": 0.01}  # of all chunks
CHUNKS_OF_TEXT = 8
BATCH = 20_000
_NOISE = np.random.default_rng(7)
_SUFFIXES = (".md", ".txt", ".py", ".pdf")

_TEXTS = """
INSERT INTO search_indexedtext (id, workspace_id, dataset_id, sha256, state, code, note, kind, chunk_count)
SELECT n, %(workspace)s, %(dataset)s, sha256(n::text::bytea), 'done', '', '', '', %(each)s
  FROM generate_series(%(first)s, %(last)s) n
"""
_ENTRIES = """
INSERT INTO datasets_entry (dataset_id, path, size_bytes, sha256, settled, since)
SELECT %(dataset)s, format('area-%%s/%%s/file-%%s%%s', n %% 10, n %% 97, n, (%(suffixes)s::text[])[1 + n %% 4]),
       1000, sha256(n::text::bytea), true, 1 FROM generate_series(%(first)s, %(last)s) n
"""
_CHUNKS = """
INSERT INTO search_textchunk (id, workspace_id, dataset_id, text_id, n, line, place, heading, body, digest, words)
SELECT r.id, %(workspace)s, %(dataset)s, r.text_id, r.n, 1, '', r.heading, r.body, decode(md5(r.body), 'hex'), {words}
  FROM (SELECT * FROM raw) r
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """A real chunk with its vector."""

    heading: str
    body: str
    vector: Sequence[float]


def read_samples(most: int) -> list[Sample]:
    """Chunks of the labelled documents, which are in the index already."""
    chunks = list(TextChunk.objects.order_by("id").values_list("heading", "body")[:most])
    found: list[Sample] = []
    for first in range(0, len(chunks), 64):
        part = chunks[first : first + 64]
        vectors = the_model().ask([f"{heading}\n{body}" for heading, body in part]).result()
        found += [
            Sample(heading, body, vector)
            for (heading, body), vector in zip(part, vectors, strict=True)
        ]
    return found


def fill_large(
    workspace: Workspace, samples: Sequence[Sample], chunk_count: int
) -> IndexGeneration:
    """Datasets of the sizes of SHARES, and the graph over all vectors."""
    generation = IndexGeneration.objects.create(
        workspace=workspace,
        service="builtin",
        model="usem3",
        dimensions=512,
        signature="bench",
        embedding={"service": "builtin"},
        state=GenerationState.SERVING,
    )
    ensure_vector_table(512)
    chance = random.Random(7)  # noqa: S311 - filler
    text_id = 1_000_000
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for name, share in SHARES.items():
            text_count = int(chunk_count * share / CHUNKS_OF_TEXT)
            dataset = _make_dataset(workspace, name, text_count)
            ids: dict[str, Any] = {
                "workspace": workspace.pk,
                "dataset": dataset.pk,
                "each": CHUNKS_OF_TEXT,
            }
            ids |= {"first": text_id, "last": text_id + text_count - 1}
            cursor.execute(_TEXTS, ids)
            cursor.execute(_ENTRIES, ids | {"suffixes": list(_SUFFIXES)})
            for first in range(0, text_count, BATCH // CHUNKS_OF_TEXT):
                last = min(text_count, first + BATCH // CHUNKS_OF_TEXT)
                _add_chunks(
                    cursor,
                    generation,
                    dataset,
                    range(text_id + first, text_id + last),
                    samples,
                    chance,
                )
            text_id += text_count
        cursor.execute("ANALYZE")
        cursor.execute("RESET statement_timeout")
    tend_graph(generation, chunk_count, lambda: None)
    return generation


def _make_dataset(workspace: Workspace, name: str, text_count: int) -> Dataset:
    dataset = Dataset.objects.create(workspace=workspace, name=name)
    Version.objects.create(
        dataset=dataset, number=1, file_count=text_count, size_bytes=text_count * 1000
    )
    DatasetIndex.objects.create(
        dataset=dataset,
        workspace=workspace,
        state=IndexState.CURRENT,
        indexed_version=1,
        text_count=text_count,
        chunk_count=text_count * CHUNKS_OF_TEXT,
    )
    return dataset


def _add_chunks(
    cursor: Any,
    generation: IndexGeneration,
    dataset: Dataset,
    texts: range,
    samples: Sequence[Sample],
    chance: random.Random,
) -> None:
    cursor.execute(
        "CREATE TEMP TABLE IF NOT EXISTS raw (id bigint, text_id bigint, n int, heading text, body text);"
        " TRUNCATE raw"
    )
    vectors: list[ChunkVector] = []
    with cursor.copy("COPY raw FROM STDIN") as copying:
        for row in _make_rows(texts, samples, chance):
            chunk_id, text_id, n, one, other = row
            copying.write_row(
                (chunk_id, text_id, n, one.heading, _mix_words(chunk_id, one, other, chance))
            )
            vectors.append(
                ChunkVector(
                    chunk_id,
                    generation.pk,
                    dataset.workspace_id,
                    dataset.pk,
                    _mix_vectors(one.vector, other.vector, chance),
                )
            )
    compounds = "regexp_split_to_array(lower(substring(r.body from '[A-Za-z0-9]+-[0-9]+')), '-')"
    words = compose_words(
        DEFAULT_LANGUAGES,
        heading="r.heading",
        body="r.body",
        compounds=f"coalesce({compounds}, '{{}}')",
    )
    cursor.execute(
        _CHUNKS.format(words=words), {"workspace": dataset.workspace_id, "dataset": dataset.pk}
    )
    copy_vectors(cursor, 512, vectors)


def _make_rows(
    texts: range, samples: Sequence[Sample], chance: random.Random
) -> Iterator[tuple[int, int, int, Sample, Sample]]:
    for text_id in texts:
        for n in range(CHUNKS_OF_TEXT):
            one, other = chance.choices(samples, k=2)
            yield text_id * CHUNKS_OF_TEXT + n, text_id, n, one, other


def _mix_words(chunk_id: int, one: Sample, other: Sample, chance: random.Random) -> str:
    """Two halves of real chunks, and a serial of its own."""
    cut = chance.randint(100, 400)
    return f"{one.body[:cut]} SN-{chunk_id} {other.body[-cut:]}"[:990]


def _mix_vectors(
    one: Sequence[float], other: Sequence[float], chance: random.Random
) -> array[float]:
    part = chance.uniform(0.55, 1.0)
    mixed = (
        part * np.asarray(one) + (1 - part) * np.asarray(other) + _NOISE.normal(0, 0.012, len(one))
    )
    return array("f", (mixed / np.linalg.norm(mixed)).astype("float32").tobytes())
