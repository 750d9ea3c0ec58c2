"""Puts documents into the index as a sync and its stage leave them, without files and without a far end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from django.db import connection

from datasets.models import Dataset, Entry, Version
from search.choices import BUILTIN
from search.core.chunking import cut
from search.core.lexemes import DEFAULT_LANGUAGES, clean_signs, compose_words, split_compounds
from search.core.passages import digest_passage, write_passage
from search.core.texts import Cut, Extracted, Piece
from search.embedding.builtin import DIMENSIONS, MODEL, the_model
from search.embedding.contract import make_unit
from search.indexing.known_words import WordCollector, keep_words
from search.indexing.paths import keep_paths
from search.models import (
    DatasetIndex,
    GenerationState,
    IndexedText,
    IndexGeneration,
    IndexState,
    TextChunk,
    TextState,
)
from search.vectors.tables import ensure_vector_table, insert_vectors, open_staging
from workspaces.models import Workspace


def fill_dataset(
    workspace: Workspace, name: str, documents: Iterable[tuple[str, str]], *, version: int = 1
) -> Dataset:
    """A dataset with these files, whose index is current; vectors are left to the caller."""
    dataset = Dataset.objects.create(workspace=workspace, name=name)
    count = size_bytes = 0
    for path, text in documents:
        content = text.encode()
        sha256 = hashlib.sha256(content).digest()
        Entry.objects.create(
            dataset=dataset, path=path, size_bytes=len(content), sha256=sha256, since=version
        )
        _add_text(dataset, sha256, path, text)
        count += 1
        size_bytes += len(content)
    Version.objects.create(dataset=dataset, number=version, file_count=count, size_bytes=size_bytes)
    chunk_count = TextChunk.objects.filter(dataset=dataset).count()
    with connection.cursor() as cursor:
        keep_paths(cursor, workspace.pk, dataset.pk, DEFAULT_LANGUAGES, None)
    DatasetIndex.objects.create(
        dataset=dataset,
        workspace=workspace,
        state=IndexState.CURRENT,
        indexed_version=version,
        text_count=count,
        chunk_count=chunk_count,
    )
    return dataset


def _add_text(dataset: Dataset, sha256: bytes, path: str, text: str) -> None:
    kind = PurePosixPath(path).suffix.lower()
    made, is_new = IndexedText.objects.get_or_create(
        workspace=dataset.workspace,
        dataset=dataset,
        sha256=sha256,
        defaults={"state": TextState.DONE, "kind": kind},
    )
    if not is_new:
        return
    chunks = list(cut(Extracted(kind, [Piece(text, line=1)]), path))
    collector = WordCollector()
    for chunk in chunks:
        collector.read(f"{chunk.heading}\n{chunk.body}")
    words = compose_words(DEFAULT_LANGUAGES, heading="%s", body="%s", compounds="%s::text[]")
    columns = "workspace_id, dataset_id, text_id, n, line, place, heading, body, digest, words"
    values = f"{'%s, ' * 9}{words}"
    statement = f"INSERT INTO search_textchunk ({columns}) VALUES ({values})"  # noqa: S608 - placeholders
    with connection.cursor() as cursor:
        keep_words(cursor, dataset.workspace_id, collector.take())
        for chunk in chunks:
            cursor.execute(statement, [*_values(dataset, made, chunk), *_words_of(chunk)])
    IndexedText.objects.filter(pk=made.pk).update(chunk_count=len(chunks))


def _values(dataset: Dataset, text: IndexedText, chunk: Cut) -> list[Any]:
    digest = digest_passage(chunk.heading, chunk.body)
    place = [chunk.n, chunk.line, chunk.place, chunk.heading, chunk.body]
    return [dataset.workspace_id, dataset.pk, text.pk, *place, digest]


def _words_of(chunk: Cut) -> list[Any]:
    """The parameters of `compose_words`, in its order: once for each configuration."""
    configurations = 1 + len(DEFAULT_LANGUAGES)
    compounds = sorted(split_compounds(f"{chunk.heading}\n{chunk.body}"))
    body, heading = clean_signs(chunk.body), clean_signs(chunk.heading)
    return [*[body] * configurations, *[heading] * configurations, compounds]


def fill_vectors(workspace: Workspace) -> IndexGeneration:
    """Each chunk of the workspace gets its vector from the built-in model, and the generation serves."""
    generation, _ = IndexGeneration.objects.get_or_create(
        workspace=workspace,
        state=GenerationState.SERVING,
        defaults={
            "service": BUILTIN,
            "model": MODEL,
            "dimensions": DIMENSIONS,
            "signature": "filled",
            "embedding": {"service": BUILTIN},
        },
    )
    ensure_vector_table(DIMENSIONS)
    open_staging()
    chunks = list(TextChunk.objects.filter(workspace=workspace).order_by("id"))
    for first in range(0, len(chunks), 64):
        part = chunks[first : first + 64]
        passages = [write_passage(chunk.heading, chunk.body) for chunk in part]
        vectors = the_model().ask(passages).result()
        units = {
            chunk.pk: unit
            for chunk, vector in zip(part, vectors, strict=True)
            if (unit := make_unit(vector)) is not None
        }
        with connection.cursor() as cursor:
            insert_vectors(cursor, DIMENSIONS, generation.pk, units)
    return generation
