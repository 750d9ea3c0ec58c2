"""The list of contents that words find, the best first.

All words first, and rare words before common ones: a content is a candidate if one of its chunks holds one of the
rarest words of the question. So a question costs what its rare words cost, however many chunks hold the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from database.rows import fetch_rows
from search.core.fusion import WordsHit
from search.core.marks import has_phrase
from search.core.terms import WeighedTerms, choose_gate, write_tsquery
from search.querying.lexemes_of_query import write_phrase
from search.querying.scope import SearchScope

CANDIDATES_MAX = 3_000  # chunks that are ranked
GATE_ROWS = 2_500  # chunks that the rarest words may stand in, together
ENOUGH = 10  # hits; below, common words are asked for too
PATHS_MAX = 100_000  # contents in scope: beyond, paths are not looked through
AROUND_FACTOR = 0.25  # of what other chunks of the same content hold

_RANKED = """
SELECT c.id, c.text_id, {mask} AS mask, ts_rank_cd(c.words, %(any)s::tsquery, 1)::float8 AS density
  FROM search_textchunk c
 WHERE c.words @@ %(gate)s::tsquery AND {scope}
 LIMIT %(most)s
"""

_PHRASE = """
SELECT c.id, c.text_id, c.heading, c.body FROM search_textchunk c
 WHERE c.words @@ %(phrase)s::tsquery AND {scope}
 LIMIT %(most)s
"""

# A phrase may stand across the border of two chunks.
_ACROSS = """
SELECT a.id, a.text_id, '' AS heading, right(a.body, 300) || ' ' || left(b.body, 300) AS body
  FROM (SELECT c.text_id, c.n FROM search_textchunk c
         WHERE c.words @@ plainto_tsquery('simple', %(word)s) AND {scope} LIMIT %(most)s) held
  JOIN search_textchunk a ON a.text_id = held.text_id AND a.n IN (held.n - 1, held.n)
  JOIN search_textchunk b ON b.text_id = a.text_id AND b.n = a.n + 1
"""


@dataclass(frozen=True, slots=True)
class _Ranked:
    id: int
    text_id: int
    mask: int
    density: float


@dataclass(frozen=True, slots=True)
class _Read:
    id: int
    text_id: int
    heading: str
    body: str


def list_by_words(scope: SearchScope, weighed: WeighedTerms, *, limit: int) -> list[WordsHit]:
    """Each content once, with the chunk that holds most."""
    rows = _rank(scope, weighed, GATE_ROWS)
    hits = _score(rows, weighed)
    if len(hits) < ENOUGH and len(weighed.forms) > len(choose_gate(weighed, GATE_ROWS)):
        hits = _score(_rank(scope, weighed, None), weighed)
    return hits[:limit]


def _rank(scope: SearchScope, weighed: WeighedTerms, gate_rows: int | None) -> list[_Ranked]:
    forms = weighed.forms
    if not forms:
        return []
    gate = forms if gate_rows is None else choose_gate(weighed, gate_rows)
    mask = " | ".join(
        f"(CASE WHEN c.words @@ %(form_{bit})s::tsquery THEN {1 << bit} ELSE 0 END)::bigint"
        for bit in range(len(forms))
    )
    parameters = {
        **scope.parameters,
        **{f"form_{bit}": write_tsquery([form], "&") for bit, form in enumerate(forms)},
        "any": write_tsquery(forms, "|"),
        "gate": write_tsquery(gate, "|"),
        "most": CANDIDATES_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RANKED.format(mask=mask, scope=scope.limit_chunks("c")), parameters)
        return fetch_rows(cursor, _Ranked)


def _score(rows: Sequence[_Ranked], weighed: WeighedTerms) -> list[WordsHit]:
    by_text: dict[int, list[_Ranked]] = {}
    for row in rows:
        by_text.setdefault(row.text_id, []).append(row)
    scored = [_score_text(text_id, chunks, weighed) for text_id, chunks in by_text.items()]
    scored.sort(key=lambda each: (-each[0], each[1].text_id))
    return [hit for _, hit in scored]


def _score_text(
    text_id: int, chunks: Sequence[_Ranked], weighed: WeighedTerms
) -> tuple[float, WordsHit]:
    best, best_key, union = chunks[0], (-1.0, -1.0), 0
    for chunk in chunks:
        union |= chunk.mask
        key = (weighed.score(chunk.mask)[0], chunk.density)
        if key > best_key:
            best, best_key = chunk, key
    share, has_all = weighed.score(best.mask)
    around, _ = weighed.score(union)
    score = share + AROUND_FACTOR * (around - share) + 0.05 * best.density
    return score, WordsHit(text_id, best.id, min(1.0, score), has_all)


def find_phrases(scope: SearchScope, phrases: Sequence[str]) -> dict[int, int]:
    """Returns the contents that hold each of the phrases, with the chunk that holds the first."""
    found: dict[int, int] = {}
    for n, phrase in enumerate(phrases):
        held = _find_phrase(scope if n == 0 else scope.with_texts(list(found)), phrase)
        found = held if n == 0 else {text: chunk for text, chunk in found.items() if text in held}
    return found


def add_phrases(hits: Sequence[WordsHit], held: Mapping[int, int], limit: int) -> list[WordsHit]:
    """The contents that hold the phrases of the question: in the order of words, and then those whose words tell nothing."""
    ranked = [WordsHit(hit.text_id, held[hit.text_id], hit.share, is_sure=True) for hit in hits]
    known = {hit.text_id for hit in hits}
    rest = [WordsHit(text, held[text], 1.0, is_sure=True) for text in sorted(held.keys() - known)]
    return [*ranked, *rest][:limit]


def _find_phrase(scope: SearchScope, phrase: str) -> dict[int, int]:
    """The positions of a tsvector can pretend that a word of the heading follows the last one of the body, so the text is looked
    at."""
    parameters = {**scope.parameters, "phrase": write_phrase(phrase), "most": CANDIDATES_MAX}
    with connection.cursor() as cursor:
        cursor.execute(_PHRASE.format(scope=scope.limit_chunks("c")), parameters)
        found = _hold(fetch_rows(cursor, _Read), phrase)
        words = phrase.split()
        if len(found) < ENOUGH and len(words) > 1:
            longest = max(words, key=len)
            cursor.execute(
                _ACROSS.format(scope=scope.limit_chunks("c")), {**parameters, "word": longest}
            )
            found = _hold(fetch_rows(cursor, _Read), phrase) | found
    return found


def _hold(rows: Sequence[_Read], phrase: str) -> dict[int, int]:
    return {
        row.text_id: row.id
        for row in rows
        if has_phrase(row.body, phrase) or has_phrase(row.heading, phrase)
    }
