"""`python -m benchmarks.search.query`: the table of quality by kind of question; then how long a question takes, and how
much of the exact answer it finds, with and without filters, over many chunks."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import stand

if TYPE_CHECKING:
    from search.models import IndexGeneration
    from workspaces.models import Workspace

SAMPLES = 1_500
EVERY = 2  # question of the labelled ones is asked for time
PATIENCE_S = 60.0  # recall is measured without a limit of time


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.query", description=__doc__)
    parser.add_argument("--chunks", default="100000,1000000", help="sizes, by comma; empty: none")
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
    from benchmarks.search.query.filling import fill_large, read_samples

    began = time.perf_counter()
    generation = fill_large(workspace, read_samples(SAMPLES), chunk_count)
    say(f"\n{chunk_count:,} chunks, filled in {time.perf_counter() - began:.0f} s\n")
    say("| scope | p50 ms | p95 ms | recall@10 |\n|---|---|---|---|")
    for name, more in list_scopes(workspace).items():
        time_questions(workspace, more)
        walls = time_questions(workspace, more)
        recall = measure_recall(workspace, generation, more)
        cuts = statistics.quantiles(walls, n=20, method="inclusive")
        say(f"| {name} | {cuts[9] * 1000:.0f} | {cuts[18] * 1000:.0f} | {recall:.3f} |")


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


def time_questions(workspace: Workspace, more: Mapping[str, Any]) -> list[float]:
    """With the time of the model: no question's vector is remembered."""
    from benchmarks.search.labelled.queries import QUERIES
    from search.embedding.queries import MEMORY
    from search.querying.question import Question
    from search.querying.search import search

    walls = []
    MEMORY.forget()
    for query in QUERIES[::EVERY]:
        began = time.perf_counter()
        search(workspace, Question(query.text, **more))
        walls.append(time.perf_counter() - began)
    return walls


def measure_recall(
    workspace: Workspace, generation: IndexGeneration, more: Mapping[str, Any]
) -> float:
    """Of the ten nearest contents by comparing all."""
    import search.querying.search as querying
    from benchmarks.search.labelled.queries import QUERIES
    from search.querying.question import Question, SearchMode

    def nearest(*, has_graph: bool) -> list[set[str]]:
        generation.has_graph = has_graph
        generation.save(update_fields=["has_graph"])
        asked = [query.text for query in QUERIES[:: 2 * EVERY] if '"' not in query.text]
        return [
            {
                hit.path
                for hit in querying.search(
                    workspace, Question(text, mode=SearchMode.MEANING, limit=10, **more)
                ).items
            }
            for text in asked
        ]

    usual_s, querying.WITHIN_S = querying.WITHIN_S, PATIENCE_S
    exact, found = nearest(has_graph=False), nearest(has_graph=True)
    querying.WITHIN_S = usual_s
    parts: Sequence[float] = [
        len(each & best) / len(best) for best, each in zip(exact, found, strict=True) if best
    ]
    return statistics.mean(parts)


if __name__ == "__main__":
    main()
