"""The labelled questions: reciprocal rank and hits among the first ten, by kind of question, beside other recipes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from benchmarks.search.labelled.queries import QUERIES, LabelledQuery, QueryKind
from search.embedding.queries import embed_question
from search.querying.question import Question, SearchMode
from search.querying.search import search
from workspaces.models import Workspace

DEEP = 100
RRF = 60  # as textbooks have it
Recipe = Callable[[Workspace, str], list[str]]

_MAKE_TEXTBOOK = """
CREATE TEMP TABLE textbook AS
SELECT e.path, to_tsvector('english', c.body) AS words
  FROM search_textchunk c JOIN search_indexedtext t ON t.id = c.text_id
  JOIN datasets_entry e ON e.dataset_id = t.dataset_id AND e.sha256 = t.sha256 AND e.until IS NULL
 WHERE c.workspace_id = %(workspace)s;
CREATE INDEX ON textbook USING gin (words);
"""
_TEXTBOOK_WORDS = """
WITH q AS (SELECT replace(plainto_tsquery('english', %(q)s)::text, '&', '|')::tsquery AS query)
SELECT path FROM (
    SELECT path, max(ts_rank_cd(words, q.query)) AS rank FROM q, textbook WHERE words @@ q.query GROUP BY path) ranked
 ORDER BY rank DESC, path LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Score:
    mrr: float
    hit_at_10: float


def ask(mode: SearchMode) -> Recipe:
    def recipe(workspace: Workspace, q: str) -> list[str]:
        return [hit.path for hit in search(workspace, Question(q, mode=mode, limit=DEEP)).items]

    return recipe


def rank_by_textbook_words(workspace: Workspace, q: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.textbook') IS NULL")
        if cursor.fetchone()[0]:
            cursor.execute(_MAKE_TEXTBOOK, {"workspace": workspace.pk})
        cursor.execute(_TEXTBOOK_WORDS, {"q": q, "most": DEEP})
        return [path for (path,) in cursor.fetchall()]


def rank_by_textbook(workspace: Workspace, q: str) -> list[str]:
    """english ts_rank_cd and vectors, fused by RRF 60."""
    scores: dict[str, float] = {}
    for ranked in (rank_by_textbook_words(workspace, q), ask(SearchMode.MEANING)(workspace, q)):
        for place, path in enumerate(ranked, 1):
            scores[path] = scores.get(path, 0.0) + 1 / (RRF + place)
    return sorted(scores, key=lambda path: -scores[path])


RECIPES: dict[str, Recipe] = {
    "ours": ask(SearchMode.BOTH),
    "words alone": ask(SearchMode.WORDS),
    "vectors alone": ask(SearchMode.MEANING),
    "textbook words": rank_by_textbook_words,
    "textbook hybrid": rank_by_textbook,
}


def measure(workspace: Workspace, recipe: Recipe, *, held_out: bool) -> dict[str, Score]:
    """By kind of question, and `all`."""
    ranks: dict[str, list[int]] = {}
    for query in QUERIES:
        if query.is_held_out is held_out:
            rank = find_rank(query, recipe(workspace, query.text))
            for name in (query.kind.value, "all"):
                ranks.setdefault(name, []).append(rank)
    return {name: _score(each) for name, each in ranks.items()}


def find_rank(query: LabelledQuery, found: Iterable[str]) -> int:
    """0 where no answer was found."""
    return next((rank for rank, path in enumerate(found, 1) if path in query.answers), 0)


def write_table(workspace: Workspace, *, held_out: bool) -> str:
    embed_question(workspace, "warm", 60.0)
    kinds = ["all", *(kind.value for kind in QueryKind)]
    lines = [f"| MRR / hit@10 | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name, recipe in RECIPES.items():
        scores = measure(workspace, recipe, held_out=held_out)
        cells = [f"{scores[kind].mrr:.3f} / {scores[kind].hit_at_10:.2f}" for kind in kinds]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _score(ranks: Sequence[int]) -> Score:
    return Score(
        statistics.mean(1 / rank if rank else 0.0 for rank in ranks),
        statistics.mean(float(0 < rank <= 10) for rank in ranks),
    )
