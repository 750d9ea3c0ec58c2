"""The contents whose paths hold what a question asks for, though their text may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from database.rows import fetch_rows
from search.core.lexemes import split_path_words
from search.core.terms import Term, WeighedTerms, write_tsquery
from search.querying.lexemes_of_query import find_stems
from search.querying.scope import SearchScope

CANDIDATES_MAX = 200
PATHS_MAX = 100  # of one content that are looked at
TERMS_MAX = 12  # a longer question names no path

# What is shown of a content that paths alone have found is its beginning. The limit must not tempt the planner to read
# all rows where none fits, so it does not see it.
_HELD = """
WITH named AS MATERIALIZED (
    SELECT p.text_id, p.workspace_id, p.dataset_id FROM search_textpaths p
     WHERE p.words @@ %(paths)s::tsquery AND {rows})
SELECT p.text_id, f.id AS chunk_id,
       ARRAY(SELECT e.path FROM search_indexedtext t
               JOIN datasets_entry e ON e.dataset_id = t.dataset_id AND e.sha256 = t.sha256
              WHERE t.id = p.text_id AND {entries} LIMIT %(paths_most)s) AS paths
  FROM named p
 CROSS JOIN LATERAL (SELECT c.id FROM search_textchunk c WHERE c.text_id = p.text_id AND c.n = 0 LIMIT 1) f
 WHERE {scope}
 LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class PathsHit:
    """A content, its first chunk, and the lexemes of the question that its current paths hold."""

    text_id: int
    chunk_id: int
    held: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Held:
    text_id: int
    chunk_id: int
    paths: list[str]


def list_by_paths(
    scope: SearchScope, weighed: WeighedTerms, languages: Sequence[str]
) -> dict[int, PathsHit]:
    """Those whose paths hold each term, or of three or more all but one."""
    terms = weighed.terms
    if not terms or len(terms) > TERMS_MAX:
        return {}
    statement = _HELD.format(
        rows=scope.limit_rows("p"),
        entries=scope.limit_entries("e"),
        scope=scope.limit_chunks("p"),
    )
    parameters = {
        **scope.parameters,
        "paths": _write_gate(terms),
        "paths_most": PATHS_MAX,
        "most": CANDIDATES_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = fetch_rows(cursor, _Held)
    return _look_at_paths(rows, weighed, languages) if rows else {}


def _look_at_paths(
    rows: Sequence[_Held], weighed: WeighedTerms, languages: Sequence[str]
) -> dict[int, PathsHit]:
    """The rows of the index may be older than the paths, and the question may admit some of these alone."""
    known = weighed.weights.keys()
    words = {row.text_id: split_path_words("\n".join(row.paths)) for row in rows}
    stems = {stem for term in weighed.terms for stem in term.stems}
    stems_of = find_stems(set().union(*words.values()), stems, languages)
    least = _count_least(len(weighed.terms))
    found = {}
    for row in rows:
        held = words[row.text_id] & known
        held.update(*(stems_of[word] for word in words[row.text_id] if word in stems_of))
        if weighed.count_held(held) >= least:
            found[row.text_id] = PathsHit(row.text_id, row.chunk_id, frozenset(held))
    return found


def _count_least(term_count: int) -> int:
    return term_count - 1 if term_count >= 3 else term_count


def _write_gate(terms: Sequence[Term]) -> str:
    """A tsquery of what the paths of a candidate hold."""
    each = [_write_term(term) for term in terms]
    if _count_least(len(each)) == len(each):
        return " & ".join(each)
    return " | ".join(
        f"({' & '.join(each[:without] + each[without + 1 :])})" for without in range(len(each))
    )


def _write_term(term: Term) -> str:
    """Each term has a form: the parser of PostgreSQL has found one, or the word was taken apart."""
    near = (*term.same, *(form for form, _ in term.alike))
    ways = [write_tsquery([*term.whole, *term.stems, *near], "|")]
    if term.parts:
        ways.append(f"({write_tsquery(term.parts, '&')})")
    return f"({' | '.join(way for way in ways if way)})"
