"""A large index, made of real text: chunks of the labelled documents and of files of this machine, in their own order,
each mixed with another one. Its vector is a mix of theirs, moved a little towards a third one."""

from __future__ import annotations

import itertools
import random
import sysconfig
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection

from datasets.models import Dataset, Version
from search.core.chunking import cut
from search.core.lexemes import DEFAULT_LANGUAGES, compose_words, split_compounds
from search.core.texts import Extracted, Piece
from search.embedding.builtin import the_model
from search.indexing.known_words import WordCollector, keep_words
from search.indexing.paths import keep_paths
from search.models import DatasetIndex, GenerationState, IndexGeneration, IndexState, TextChunk
from search.vectors.cells import tend_cells
from search.vectors.tables import ensure_vector_table, insert_vectors, open_staging
from workspaces.models import Workspace

SHARES = {"forty": 0.4, "thirty": 0.3, "nineteen": 0.19, "ten": 0.1, "one": 0.01}  # of all chunks
CHUNKS_OF_TEXT = 8
BATCH = 20_000
SAMPLES = range(1_500, 36_000)
CHUNKS_OF_SAMPLE = 20  # are made of one real one, and more beyond the largest number of samples
CHUNKS_OF_FILE = 40
NUDGE = 0.2
_SUFFIXES = (".md", ".txt", ".py", ".pdf")
_ROOTS = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], "/usr/share/doc")
_READ = {".py", ".md", ".rst", ".txt", ".html", ".js", ".c", ".h", ".json", ".xml", ".csv"}

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


def count_samples(chunk_count: int) -> int:
    return min(max(chunk_count // CHUNKS_OF_SAMPLE, SAMPLES.start), SAMPLES.stop)


def read_samples(most: int) -> list[Sample]:
    """Chunks of the labelled documents, which are in the index already, and of files, with vectors of the built-in model."""
    labelled = TextChunk.objects.order_by("id").values_list("heading", "body")
    chunks = list(itertools.islice(itertools.chain(labelled[: most // 2], _iter_chunks()), most))
    found: list[Sample] = []
    for first in range(0, len(chunks), 64):
        part = chunks[first : first + 64]
        vectors = the_model().ask([f"{heading}\n{body}" for heading, body in part]).result()
        found += [
            Sample(heading, body, vector)
            for (heading, body), vector in zip(part, vectors, strict=True)
        ]
    return found


def _iter_chunks() -> Iterator[tuple[str, str]]:
    """Of each tenth file, so that few stem from one program."""
    found = (path for root in _ROOTS for path in sorted(Path(root).rglob("*")))
    fit = (path for path in found if path.suffix in _READ and path.is_file())
    for path in itertools.islice(fit, 0, None, 10):
        text = path.read_text(encoding="utf-8", errors="replace").replace("\0", "")
        cuts = cut(Extracted(path.suffix, [Piece(text, line=1)]), path.name)
        for each in itertools.islice(cuts, CHUNKS_OF_FILE):
            yield each.heading, each.body


def fill_large(
    workspace: Workspace, samples: Sequence[Sample], chunk_count: int
) -> IndexGeneration:
    """Datasets of the sizes of SHARES, and the cells of all vectors."""
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
    open_staging()
    collector = WordCollector()
    for sample in samples:
        collector.read(f"{sample.heading}\n{sample.body}")
    text_id = 1_000_000
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        keep_words(cursor, workspace.pk, collector.take())
        for name, share in SHARES.items():
            texts = range(text_id, text_id + int(chunk_count * share / CHUNKS_OF_TEXT))
            dataset = _make_dataset(cursor, workspace, name, texts)
            keep_paths(cursor, workspace.pk, dataset.pk, DEFAULT_LANGUAGES, None)
            for first in range(0, len(texts), BATCH // CHUNKS_OF_TEXT):
                part = texts[first : first + BATCH // CHUNKS_OF_TEXT]
                add_words(cursor, dataset, part, samples)
                add_vectors(cursor, generation, part, samples)
            text_id = texts.stop
        cursor.execute(
            "SELECT gin_clean_pending_list('chunk_words')"
        )  # as the stage does at its end
        cursor.execute("ANALYZE")
        cursor.execute("RESET statement_timeout")
    tend_cells(generation, chunk_count, lambda: None)
    return generation


def _make_dataset(cursor: Any, workspace: Workspace, name: str, texts: range) -> Dataset:
    """With a file for each text, none of which has chunks yet."""
    dataset = Dataset.objects.create(workspace=workspace, name=name)
    Version.objects.create(
        dataset=dataset, number=1, file_count=len(texts), size_bytes=len(texts) * 1000
    )
    DatasetIndex.objects.create(
        dataset=dataset,
        workspace=workspace,
        state=IndexState.CURRENT,
        indexed_version=1,
        text_count=len(texts),
        chunk_count=len(texts) * CHUNKS_OF_TEXT,
    )
    told = {
        "workspace": workspace.pk,
        "dataset": dataset.pk,
        "each": CHUNKS_OF_TEXT,
        "first": texts.start,
        "last": texts.stop - 1,
        "suffixes": list(_SUFFIXES),
    }
    cursor.execute(_TEXTS, told)
    cursor.execute(_ENTRIES, told)
    return dataset


def add_words(cursor: Any, dataset: Dataset, texts: range, samples: Sequence[Sample]) -> None:
    """Their chunks."""
    cursor.execute(
        "CREATE TEMP TABLE IF NOT EXISTS raw"
        " (id bigint, text_id bigint, n int, heading text, body text, compounds text[]); TRUNCATE raw"
    )
    with cursor.copy("COPY raw FROM STDIN") as copying:
        for each in _iter_mixed(texts, samples):
            heading, body = each.one.heading, each.write_body()
            compounds = sorted(split_compounds(f"{heading}\n{body}"))
            copying.write_row((each.chunk_id, each.text_id, each.n, heading, body, compounds))
    words = compose_words(
        DEFAULT_LANGUAGES, heading="r.heading", body="r.body", compounds="r.compounds"
    )
    cursor.execute(
        _CHUNKS.format(words=words), {"workspace": dataset.workspace_id, "dataset": dataset.pk}
    )


def add_vectors(
    cursor: Any, generation: IndexGeneration, texts: range, samples: Sequence[Sample]
) -> None:
    """Those of their chunks."""
    mixed = _iter_mixed(texts, samples)
    while part := {each.chunk_id: each.mix_vectors() for each in itertools.islice(mixed, 10_000)}:
        insert_vectors(cursor, 512, generation.pk, part)


@dataclass(frozen=True, slots=True)
class _Mixed:
    """A chunk that is made of two samples; `part` of its vector is the first one's. A third one moves the vector a little: so
    all are different, and none is where no text is."""

    chunk_id: int
    text_id: int
    n: int
    one: Sample
    other: Sample
    third: Sample
    cut: int
    part: float

    def write_body(self) -> str:
        """Two halves of real chunks, and a serial of its own."""
        return f"{self.one.body[: self.cut]} SN-{self.chunk_id} {self.other.body[-self.cut :]}"[
            :990
        ]

    def mix_vectors(self) -> array[float]:
        one, other, third = (np.asarray(each.vector) for each in (self.one, self.other, self.third))
        mixed = self.part * one + (1 - self.part) * other + NUDGE * third
        return array("f", (mixed / np.linalg.norm(mixed)).astype("float32").tobytes())


def _iter_mixed(texts: range, samples: Sequence[Sample]) -> Iterator[_Mixed]:
    """The chunks of a text follow one another in a real one. Each time the same."""
    for text_id in texts:
        chance = random.Random(text_id)  # noqa: S311 - filler
        begin = chance.randrange(len(samples))
        for n in range(CHUNKS_OF_TEXT):
            yield _Mixed(
                text_id * CHUNKS_OF_TEXT + n,
                text_id,
                n,
                one=samples[(begin + n) % len(samples)],
                other=chance.choice(samples),
                third=chance.choice(samples),
                cut=chance.randint(100, 400),
                part=chance.uniform(0.55, 1.0),
            )
