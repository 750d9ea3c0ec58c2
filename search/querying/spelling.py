"""Finds words of the index for words of a question that it does not hold as they are written.

Words that differ by accents alone count as the word itself. A word that no text holds may be a slip of the hand: then those
few that are alike are looked for too, and what they find never stands among what words prove.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from database.rows import fetch_rows
from search.core.spelling import (
    fold_word,
    is_same_word,
    is_spelled,
    most_slips,
    piece_size,
    rank_alike,
)
from search.core.terms import Term
from search.querying.lexemes_of_query import lexeme_counts

SLIPS_MAX = 6  # words of a question that are looked for among words that are alike
CANDIDATES_MAX = 5_000  # words that begin, or end, as one of these
COUNTED_MAX = 12
ALIKE_MAX = 3

_SAME = """
SELECT k.folded, k.word FROM search_knownword k
 WHERE k.workspace_id = %(workspace)s AND k.folded = ANY(%(folded)s)
"""
_BEGIN = """
(SELECT k.folded, k.word FROM search_knownword k
  WHERE k.workspace_id = %(workspace)s AND k.folded LIKE %(begin)s
    AND length(k.folded) BETWEEN %(least)s AND %(longest)s LIMIT %(most)s)
 UNION ALL
(SELECT k.folded, k.word FROM search_knownword k
  WHERE k.workspace_id = %(workspace)s AND reverse(k.folded) LIKE %(end)s
    AND length(k.folded) BETWEEN %(least)s AND %(longest)s LIMIT %(most)s)
"""


@dataclass(frozen=True, slots=True)
class _Known:
    folded: str
    word: str


def respell(
    terms: Sequence[Term],
    counts: Mapping[str, float],
    workspace_id: uuid.UUID,
    *,
    is_foreign: bool,
) -> tuple[Term, ...]:
    """Returns the terms, with what is written alike. `counts` are those of their lexemes. `is_foreign` is a question in
    another language than those of the workspace: where few of its words are known, the others are no slips."""
    spelled = {term: _list_spelled(term) for term in terms if not term.is_stop}
    words = {word for found in spelled.values() for word in found}
    if not words:
        return tuple(terms)
    same = find_same(workspace_id, words)
    made = [
        replace(term, same=tuple(sorted(same_of - {*term.whole})))
        if (same_of := {each for word in spelled.get(term, ()) for each in same[word]})
        else term
        for term in terms
    ]
    unknown = [term for term in made if _is_unknown(term, counts)]
    if not unknown or (is_foreign and 2 * len(unknown) >= len(made)):
        return tuple(made)
    return _find_slips(made, unknown[:SLIPS_MAX], workspace_id)


def _is_unknown(term: Term, counts: Mapping[str, float]) -> bool:
    is_known = term.same or any(counts.get(form) for form in (*term.whole, *term.stems))
    return not is_known and bool(_list_spelled(term))


def _list_spelled(term: Term) -> list[str]:
    return [word for word in term.whole if is_spelled(word)]


def find_same(workspace_id: uuid.UUID, words: Iterable[str]) -> dict[str, set[str]]:
    """Returns by each word those of the workspace's texts that differ from it by accents alone."""
    by_key: dict[str, set[str]] = {fold_word(word): set() for word in words}
    with connection.cursor() as cursor:
        cursor.execute(_SAME, {"workspace": workspace_id, "folded": list(by_key)})
        for row in fetch_rows(cursor, _Known):
            by_key[row.folded].add(row.word)
    return {
        word: {other for other in by_key[fold_word(word)] if other != word and is_same_word(word, other)}
        for word in words
    }  # fmt: skip


def _find_slips(
    terms: Sequence[Term], unknown: Sequence[Term], workspace_id: uuid.UUID
) -> tuple[Term, ...]:
    nearest: dict[Term, list[tuple[str, int]]] = {}
    for term in unknown:
        [word, *_] = _list_spelled(term)
        alike = rank_alike(word, _list_candidates(workspace_id, fold_word(word)))
        nearest[term] = _take_nearest(alike)
    if not any(nearest.values()):
        return tuple(terms)
    known, _ = lexeme_counts.count(word for alike in nearest.values() for word, _ in alike)
    return tuple(
        replace(term, alike=_take_common(nearest[term], known)) if nearest.get(term) else term
        for term in terms
    )


def _list_candidates(workspace_id: uuid.UUID, folded: str) -> list[str]:
    size, slips = piece_size(folded), most_slips(folded) + 1
    parameters: dict[str, Any] = {
        "workspace": workspace_id,
        "begin": f"{folded[:size]}%",
        "end": f"{folded[-size:][::-1]}%",
        "least": len(folded) - slips,
        "longest": len(folded) + slips,
        "most": CANDIDATES_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, parameters)
        return [row.word for row in fetch_rows(cursor, _Known)]


def _take_nearest(alike: Mapping[str, int]) -> list[tuple[str, int]]:
    """Those with the fewest slips."""
    least = min(alike.values(), default=0)
    return sorted((word, slips) for word, slips in alike.items() if slips == least)[:COUNTED_MAX]


def _take_common(
    alike: Sequence[tuple[str, int]], counts: Mapping[str, float]
) -> tuple[tuple[str, int], ...]:
    """The most common ones of those that some chunk holds."""
    held = [each for each in alike if counts.get(each[0])]
    return tuple(sorted(held, key=lambda each: (-counts[each[0]], each[0]))[:ALIKE_MAX])
