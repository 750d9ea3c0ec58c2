"""The list of contents that words find, the best first.

All words first, and rare words before common ones: a content is a candidate if one of its chunks holds one of the
rarest words of the question. So a question costs what its rare words cost, however many chunks hold the others.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import connection

from database.rows import fetch_rows
from search.core.fusion import WordsHit
from search.core.marks import has_phrase
from search.core.terms import Proof, WeighedTerms, choose_gate, write_tsquery
from search.querying.lexemes_of_query import write_loose_phrase, write_phrase
from search.querying.paths import PathsHit, list_by_paths
from search.querying.scope import SearchScope

CANDIDATES_MAX = 3_000  # chunks that are ranked
ADMITTED_MAX = 500  # where each is asked first whether it is in scope
GATE_ROWS = 2_500  # chunks that the rarest words may stand in, together
ENOUGH = 10  # hits; below, more common words are asked for too
WIDE_ROWS = (
    50_000  # chunks that these may stand in: what more hold tells nothing beside a rare word
)
DENSITY_FACTOR = 0.05
AROUND_FACTOR = 0.25  # of what other chunks of the same content hold
PATH_FACTOR = 0.5  # of what its paths hold and its best chunk does not

DENSE_ROWS = 200  # chunks whose words are looked at closely, at least
DENSE_COST = 1_000  # or so many words of chunks

_HELD = """
SELECT c.id, c.text_id, {mask} AS mask FROM search_textchunk c WHERE c.words @@ %(gate)s::tsquery AND {scope} LIMIT %(most)s
"""
_ADMITTED = """
SELECT t.id FROM search_indexedtext t WHERE t.id = ANY(%(found)s) AND {texts}
"""
_DENSITY = """
SELECT c.id, ts_rank_cd('{{0.1, 0.1, 0.1, 0.1}}', c.words, %(any)s::tsquery, 1)::float8
  FROM search_textchunk c WHERE c.id = ANY(%(chunks)s) AND {rows}
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
class _Held:
    """A chunk, and which words of the question it holds."""

    id: int
    text_id: int
    mask: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A content: what of the question its best chunks hold, alone and with what the others hold."""

    text_id: int
    chunk_ids: tuple[int, ...]
    score: float
    proof: Proof


@dataclass(frozen=True, slots=True)
class _Read:
    id: int
    text_id: int
    heading: str
    body: str


def list_by_words(
    scope: SearchScope, weighed: WeighedTerms, languages: Sequence[str], *, limit: int
) -> list[WordsHit]:
    """Each content once, with the chunk that holds most, or the first one where its path alone holds the words."""
    hits = _list_by_chunks(scope, weighed, limit=limit)
    by_paths = list_by_paths(scope, weighed, languages)
    if by_paths:
        hits = _join_paths(hits, by_paths, weighed)[:limit]
    return _doubt(hits)


def _doubt(hits: Sequence[WordsHit]) -> list[WordsHit]:
    """What stands in many contents is no likely slip for a word that stands in none, and what many hold names none of them."""
    counts = Counter(hit.proof for hit in hits)
    doubted = {proof for proof in (Proof.NAMED, Proof.LIKELY) if counts[proof] > ENOUGH}
    return [replace(hit, proof=Proof.NONE) if hit.proof in doubted else hit for hit in hits]


def _join_paths(
    hits: Sequence[WordsHit], by_paths: Mapping[int, PathsHit], weighed: WeighedTerms
) -> list[WordsHit]:
    shares = {text: weighed.score_held(path.held) for text, path in by_paths.items()}
    # A folder's name proves nothing of each file in it.
    proofs = [proof for _, proof in shares.values()]
    telling = {each for each in Proof if sum(proof >= each for proof in proofs) <= ENOUGH}
    joined: list[WordsHit] = []
    known = {hit.text_id for hit in hits}
    rest = [
        WordsHit(path.text_id, path.chunk_id, 0.0, proof=Proof.NONE)
        for path in by_paths.values()
        if path.text_id not in known
    ]
    for hit in (*hits, *rest):
        part, proof = shares.get(hit.text_id, (0.0, Proof.NONE))
        share = hit.share + PATH_FACTOR * part * (1 - hit.share)
        joined.append(
            replace(
                hit, share=share, proof=max(hit.proof, proof) if proof in telling else hit.proof
            )
        )
    return sorted(joined, key=lambda hit: -hit.share)


def _list_by_chunks(scope: SearchScope, weighed: WeighedTerms, *, limit: int) -> list[WordsHit]:
    forms = weighed.forms
    if not forms:
        return []
    gate = choose_gate(weighed, GATE_ROWS)
    hits = _list_through(scope, weighed, [gate], limit)
    if len(hits) < ENOUGH:
        more = choose_gate(weighed, WIDE_ROWS)[len(gate) :]
        if more:
            hits = _list_through(scope, weighed, [gate, more], limit)
    return hits


def _list_through(
    scope: SearchScope, weighed: WeighedTerms, gates: Sequence[Sequence[str]], limit: int
) -> list[WordsHit]:
    """Whether a chunk is in scope costs as much as all of its words: where no more chunks pass the gates than are ranked,
    the best alone are asked."""
    rows, is_cut = _hold_any(scope.limit_first("c"), scope, weighed, gates, CANDIDATES_MAX)
    found = _admit(scope, _join_chunks(rows, weighed), limit)
    if is_cut and len(found) < limit:
        rows, _ = _hold_any(scope.limit_chunks("c"), scope, weighed, gates, ADMITTED_MAX)
        found = _join_chunks(rows, weighed)
    return _rank(scope, weighed, found)[:limit]


def _hold_any(
    condition: str,
    scope: SearchScope,
    weighed: WeighedTerms,
    gates: Sequence[Sequence[str]],
    most: int,
) -> tuple[list[_Held], bool]:
    """Each gate lets in so many at most, so a common word crowds out no chunk that holds a rare one. Returns also whether
    there were more."""
    found: dict[int, _Held] = {}
    is_cut = False
    for gate in gates:
        rows = _hold(condition, scope, weighed, gate, most)
        is_cut = is_cut or len(rows) == most
        found.update((row.id, row) for row in rows)
    return list(found.values()), is_cut


def _hold(
    condition: str, scope: SearchScope, weighed: WeighedTerms, gate: Sequence[str], most: int
) -> list[_Held]:
    mask = " | ".join(
        f"(CASE WHEN c.words @@ %(form_{bit})s::tsquery THEN {1 << bit} ELSE 0 END)::bigint"
        for bit in range(len(weighed.forms))
    )
    parameters = {
        **scope.parameters,
        **{f"form_{bit}": write_tsquery([form], "&") for bit, form in enumerate(weighed.forms)},
        "gate": write_tsquery(gate, "|"),
        "most": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_HELD.format(mask=mask, scope=condition), parameters)
        return fetch_rows(cursor, _Held)


def _join_chunks(rows: Sequence[_Held], weighed: WeighedTerms) -> list[_Found]:
    """The best first; of equals, those with most chunks as good."""
    scores = {mask: weighed.score(mask) for mask in {row.mask for row in rows}}
    by_text: dict[int, list[_Held]] = {}
    for row in rows:
        by_text.setdefault(row.text_id, []).append(row)
    found = []
    for text_id, chunks in by_text.items():
        share = max(scores[chunk.mask][0] for chunk in chunks)
        proof = max(scores[chunk.mask][1] for chunk in chunks)
        union = functools.reduce(operator.or_, (chunk.mask for chunk in chunks))
        around = scores[union][0] if union in scores else weighed.score(union)[0]
        best = tuple(chunk.id for chunk in chunks if scores[chunk.mask][0] == share)
        score = share + AROUND_FACTOR * (around - share)
        found.append(_Found(text_id, best, score, proof))
    return sorted(found, key=lambda each: (-each.score, -len(each.chunk_ids), each.text_id))


def _admit(scope: SearchScope, found: Sequence[_Found], limit: int) -> list[_Found]:
    """The best that are in scope."""
    admitted: list[_Found] = []
    statement = _ADMITTED.format(texts=scope.limit_texts("t"))
    with connection.cursor() as cursor:
        for first in range(0, len(found), 2 * limit):
            part = found[first : first + 2 * limit]
            ids = [each.text_id for each in part]
            cursor.execute(statement, {**scope.parameters, "found": ids})
            fit = {text_id for (text_id,) in cursor.fetchall()}
            admitted += [each for each in part if each.text_id in fit]
            if len(admitted) >= limit:
                break
    return admitted


def _rank(scope: SearchScope, weighed: WeighedTerms, found: Sequence[_Found]) -> list[WordsHit]:
    """How densely a chunk holds the words decides between equals. It is dear, so the best alone are looked at."""
    most = max(DENSE_ROWS, DENSE_COST // len(weighed.forms))
    chunk_ids = [each for text in found for each in text.chunk_ids][:most]
    parameters = {
        **scope.parameters,
        "any": write_tsquery(weighed.forms, "|"),
        "chunks": chunk_ids,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DENSITY.format(rows=scope.limit_rows("c")), parameters)
        densities: dict[int, float] = dict(cursor.fetchall())
    scored = [_score(each, densities) for each in found]
    scored.sort(key=lambda each: (-each[0], each[1].text_id))
    return [hit for _, hit in scored]


def _score(found: _Found, densities: Mapping[int, float]) -> tuple[float, WordsHit]:
    best = max(found.chunk_ids, key=lambda chunk_id: densities.get(chunk_id, 0.0))
    score = found.score + DENSITY_FACTOR * densities.get(best, 0.0)
    return score, WordsHit(found.text_id, best, min(1.0, score), found.proof)


def find_phrase(scope: SearchScope, phrase: str) -> dict[int, int]:
    """Returns the contents that hold it, each with a chunk that does.

    The positions of a tsvector can pretend that a word of the heading follows the last one of the body, so the text is looked
    at. Nor do they tell of all phrases: what the parser takes for one word, such as an address, has one position.
    """
    parameters = {**scope.parameters, "phrase": write_phrase(phrase), "most": CANDIDATES_MAX}
    statement = _PHRASE.format(scope=scope.limit_chunks("c"))
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = _keep(fetch_rows(cursor, _Read), phrase)
        if len(found) < ENOUGH and (loose := write_loose_phrase(phrase)):
            cursor.execute(statement, {**parameters, "phrase": loose})
            found = _keep(fetch_rows(cursor, _Read), phrase) | found
        words = phrase.split()
        if len(found) < ENOUGH and len(words) > 1:
            longest = max(words, key=len)
            cursor.execute(
                _ACROSS.format(scope=scope.limit_chunks("c")), {**parameters, "word": longest}
            )
            found = _keep(fetch_rows(cursor, _Read), phrase) | found
    return found


def add_phrases(hits: Sequence[WordsHit], held: Mapping[int, int], limit: int) -> list[WordsHit]:
    """The contents that hold the phrases of the question: in the order of words, and then those whose words tell nothing."""
    ranked = [WordsHit(hit.text_id, held[hit.text_id], hit.share, Proof.SURE) for hit in hits]
    known = {hit.text_id for hit in hits}
    rest = [WordsHit(text, held[text], 1.0, Proof.SURE) for text in sorted(held.keys() - known)]
    return [*ranked, *rest][:limit]


def _keep(rows: Sequence[_Read], phrase: str) -> dict[int, int]:
    return {
        row.text_id: row.id
        for row in rows
        if has_phrase(row.body, phrase) or has_phrase(row.heading, phrase)
    }
