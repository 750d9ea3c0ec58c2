"""`python -m benchmarks.search.query`: the table of quality by kind of question; then how long a question takes, and how
much of the exact answer it finds, with and without filters, over many chunks."""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import stand

if TYPE_CHECKING:
    from search.embedding.queries import QueryVector
    from search.models import IndexGeneration
    from search.querying.scope import SearchScope
    from workspaces.models import Workspace

EVERY = 2  # question of the labelled ones is asked for time
PATIENCE_S = 60.0
ALIKE = 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.query", description=__doc__)
    parser.add_argument(
        "--chunks",
        default="100000",
        help="sizes, by comma, such as 1000000, which takes an hour; empty: none",
    )
    parser.add_argument("--no-quality", action="store_true", help="leave the first table out")
    asked = parser.parse_args()
    with stand.product():
        from tests.rows import make_workspace

        workspace = make_workspace("labelled")
        fill_labelled(workspace)
        if not asked.no_quality:
            tell_quality(workspace)
        for size in filter(None, asked.chunks.split(",")):
            tell_speed(make_workspace(f"large-{size}"), int(size))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


def fill_labelled(workspace: Workspace) -> None:
    from django.db import connection

    from benchmarks.search.labelled.corpus import iter_documents
    from tests.search.filling import fill_dataset

    groups: dict[str, list[tuple[str, str]]] = {}
    for path, text in iter_documents():
        groups.setdefault(path.partition("/")[0], []).append((path, text))
    for name, documents in groups.items():
        fill_dataset(workspace, name, documents)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE search_textchunk")


def tell_quality(workspace: Workspace) -> None:
    from benchmarks.search.labelled.queries import QUERIES
    from benchmarks.search.query.quality import write_table
    from tests.search.filling import fill_vectors

    fill_vectors(workspace)
    for held_out in (False, True):
        half = "held out" if held_out else "by which weights were chosen"
        count = sum(query.is_held_out is held_out for query in QUERIES)
        say(f"\n{count} questions, {half}\n\n{write_table(workspace, held_out=held_out)}")


def tell_speed(workspace: Workspace, chunk_count: int) -> None:
    from benchmarks.search.query.filling import count_samples, fill_large, read_samples

    began = time.perf_counter()
    generation = fill_large(workspace, read_samples(count_samples(chunk_count)), chunk_count)
    say(f"\n{chunk_count:,} chunks, filled in {time.perf_counter() - began:.0f} s\n")
    say(
        "| scope | p50 ms | p95 ms | CPU p50 ms | CPU p95 ms | recall@10 |\n|---|---|---|---|---|---|"
    )
    for name, more in list_scopes(workspace).items():
        time_questions(workspace, more)
        costs = time_questions(workspace, more)
        walls, spent = (
            _cuts_of(cost.wall_s for cost in costs),
            _cuts_of(cost.cpu_s for cost in costs),
        )
        recall = measure_recall(workspace, generation, more)
        say(f"| {name} | {walls} | {spent} | {recall:.3f} |")


def _cuts_of(seconds: Iterable[float]) -> str:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return f"{cuts[9] * 1000:.0f} | {cuts[18] * 1000:.0f}"


@dataclass(frozen=True, slots=True)
class QuestionCost:
    """`cpu_s` is of this process, its session in the database, and the model: what a question takes on a machine that does
    nothing else."""

    wall_s: float
    cpu_s: float


def list_scopes(workspace: Workspace) -> Mapping[str, dict[str, Any]]:
    ids = dict(workspace.datasets.values_list("name", "pk"))
    return {
        "all": {},
        "a dataset with 40 %": {"dataset_ids": (ids["forty"],)},
        "a dataset with 10 %": {"dataset_ids": (ids["ten"],)},
        "a dataset with 1 %": {"dataset_ids": (ids["one"],)},
        "a prefix with 10 %": {"prefix": "area-3/"},
        "a prefix with 0.1 %": {"prefix": "area-3/13/"},
        "a type with 25 %": {"types": (".md",)},
        "the last hour": {"newer_than_s": 3600.0},
        "1 % and a type": {"dataset_ids": (ids["one"],), "types": (".md",)},
    }


def time_questions(workspace: Workspace, more: Mapping[str, Any]) -> list[QuestionCost]:
    """With the time of the model: no question's vector is remembered."""
    from django.db import connection

    from benchmarks.search.labelled.queries import QUERIES
    from search.embedding.builtin import the_model
    from search.embedding.queries import MEMORY, embed_question
    from search.querying.question import Question
    from search.querying.search import search

    embed_question(workspace, "warm", PATIENCE_S)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pids = [cursor.fetchone()[0], the_model().pid]
    costs = []
    MEMORY.forget()
    for query in QUERIES[::EVERY]:
        began, began_cpu_s = time.perf_counter(), _spent_s(pids)
        search(workspace, Question(query.text, **more))
        costs.append(QuestionCost(time.perf_counter() - began, _spent_s(pids) - began_cpu_s))
    return costs


def _spent_s(pids: Iterable[int]) -> float:
    others = sum(
        int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) for pid in pids
    )
    return others / 1e9 + time.process_time()


def measure_recall(
    workspace: Workspace, generation: IndexGeneration, more: Mapping[str, Any]
) -> float:
    """Of the ten nearest contents by comparing all. Contents that are as near as the tenth count alike."""
    from benchmarks.search.labelled.queries import QUERIES
    from search.embedding.queries import embed_question

    asked = [query.text for query in QUERIES[:: 2 * EVERY]]
    vectors = [embed_question(workspace, text, PATIENCE_S) for text in asked]
    scope = make_scope(workspace, **more)
    cell_count = generation.cell_count
    exact = list_nearest(generation, scope, vectors, cell_count=0)
    found = list_nearest(generation, scope, vectors, cell_count=cell_count)
    parts = [
        sum(likeness >= best[-1] - ALIKE for likeness in each) / len(best)
        for best, each in zip(exact, found, strict=True)
        if best
    ]
    return statistics.mean(parts)


def make_scope(
    workspace: Workspace,
    *,
    dataset_ids: tuple[uuid.UUID, ...] = (),
    prefix: str = "",
    types: tuple[str, ...] = (),
    newer_than_s: float | None = None,
) -> SearchScope:
    from search.querying.narrowing import narrow_scope
    from search.querying.scope import SearchScope

    newer_than = None if newer_than_s is None else timedelta(seconds=newer_than_s)
    return narrow_scope(SearchScope(workspace.pk, dataset_ids, prefix, types, newer_than))


def list_nearest(
    generation: IndexGeneration,
    scope: SearchScope,
    vectors: Sequence[QueryVector],
    *,
    cell_count: int,
) -> list[list[float]]:
    """How alike the ten first are, for each question."""
    from django.db import connection, transaction

    from search.querying.meaning import list_by_meaning
    from search.querying.search import NEAR

    generation.cell_count = cell_count
    generation.save(update_fields=["cell_count"])
    found = []
    for vector in vectors:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            hits = list_by_meaning(scope, vector, NEAR)[:10]
        found.append([hit.likeness for hit in hits])
    return found


if __name__ == "__main__":
    main()
