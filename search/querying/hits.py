"""Tells of contents that were found what a hit says of them: their paths, where they came from, and a snippet."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from database.rows import fetch_rows
from search.core.fusion import Fused, Matched
from search.core.marks import Snippet, WantedWords, cut_snippet, list_words
from search.core.terms import WeighedTerms
from search.core.texts import move_place
from search.querying.lexemes_of_query import find_stemmed
from search.querying.question import Facet, Hit
from search.querying.scope import SearchScope

PATHS_SHOWN = 10
DAY_S = 86_400.0
AGES = (("day", DAY_S), ("week", 7 * DAY_S), ("month", 30 * DAY_S), ("year", 365 * DAY_S))

# The content came to the path with the first of the entries that follow one another with the same content: an entry also
# ends where the source told another time.
_PLACES = """
SELECT t.id AS text_id, t.dataset_id, d.name AS dataset, t.sha256, p.path, p.size_bytes, p.modified_ns,
       p.source,
       ARRAY(SELECT e.path FROM datasets_entry e WHERE e.dataset_id = t.dataset_id AND e.sha256 = t.sha256
              AND e.until IS NULL ORDER BY e.path LIMIT {shown}) AS paths,
       (SELECT count(*) FROM datasets_entry e WHERE e.dataset_id = t.dataset_id AND e.sha256 = t.sha256
         AND e.until IS NULL) AS paths_total,
       (SELECT v.number FROM datasets_version v WHERE v.dataset_id = t.dataset_id AND v.is_current) AS version,
       o.record_id, o.created_at AS fetched_at,
       extract(epoch FROM clock_timestamp() - o.created_at)::float8 AS age_s
  FROM search_indexedtext t JOIN datasets_dataset d ON d.id = t.dataset_id AND d.workspace_id = t.workspace_id
 CROSS JOIN LATERAL (
       SELECT e.path, e.size_bytes, e.modified_ns, e.source, e.since, e.arrived FROM datasets_entry e
        WHERE e.dataset_id = t.dataset_id AND e.sha256 = t.sha256 AND {entries}
        ORDER BY e.path LIMIT 1) p
 CROSS JOIN LATERAL (
       WITH RECURSIVE came (since, arrived) AS (
           SELECT p.since, coalesce(p.arrived, p.since)
            UNION ALL
           SELECT b.since, coalesce(b.arrived, b.since) FROM came JOIN datasets_entry b
               ON b.dataset_id = t.dataset_id AND b.path = p.path AND b.until = came.since AND b.sha256 = t.sha256)
       SELECT v.record_id, v.created_at FROM datasets_version v
        WHERE v.dataset_id = t.dataset_id AND v.number = (SELECT min(arrived) FROM came)) o
 WHERE {texts} AND t.id = ANY(%(found)s) {newer}
"""

_CHUNKS = """
SELECT c.id, c.line, c.place, c.heading, c.body FROM search_textchunk c
 WHERE c.id = ANY(%(chunks)s) AND {scope}
"""


@dataclass(frozen=True, slots=True)
class ContentPlace:
    """Where a content lies now."""

    text_id: int
    dataset_id: uuid.UUID
    dataset: str
    sha256: bytes
    path: str
    size_bytes: int
    modified_ns: int | None
    source: str | None
    paths: list[str]
    paths_total: int
    version: int
    record_id: uuid.UUID | None
    fetched_at: datetime
    age_s: float


@dataclass(frozen=True, slots=True)
class _Chunk:
    id: int
    line: int | None
    place: str
    heading: str
    body: str


def read_places(scope: SearchScope, text_ids: Sequence[int]) -> dict[int, ContentPlace]:
    """Those that the scope admits, by content; the question's age is judged by when the content came to its path."""
    newer = "" if scope.newer_than is None else "AND o.created_at >= now() - %(newer_than)s"
    statement = _PLACES.format(
        shown=PATHS_SHOWN,
        entries=scope.limit_entries("e"),
        texts=scope.limit_texts("t"),
        newer=newer,
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {**scope.parameters, "found": list(text_ids)})
        return {place.text_id: place for place in fetch_rows(cursor, ContentPlace)}


def read_hits(
    scope: SearchScope,
    found: Sequence[Fused],
    weighed: WeighedTerms,
    phrases: Sequence[str],
    languages: Sequence[str],
) -> list[Hit]:
    """In the order of `found`. What was removed meanwhile is left out."""
    places = read_places(scope, [each.text_id for each in found])
    chunks = _read_chunks(scope, [each.chunk_id for each in found])
    wanted = _collect_wanted(chunks, weighed, phrases, languages)
    return [
        _make_hit(each, places[each.text_id], chunks[each.chunk_id], wanted)
        for each in found
        if each.text_id in places and each.chunk_id in chunks
    ]


def _read_chunks(scope: SearchScope, chunk_ids: Sequence[int]) -> dict[int, _Chunk]:
    with connection.cursor() as cursor:
        cursor.execute(
            _CHUNKS.format(scope=scope.limit_rows("c")),
            {**scope.parameters, "chunks": list(chunk_ids)},
        )
        return {chunk.id: chunk for chunk in fetch_rows(cursor, _Chunk)}


def _collect_wanted(
    chunks: Mapping[int, _Chunk],
    weighed: WeighedTerms,
    phrases: Sequence[str],
    languages: Sequence[str],
) -> WantedWords:
    lexemes: dict[str, float] = {}
    stems: dict[str, float] = {}
    for term in weighed.terms:
        for form in (*term.whole, *term.parts, *term.same, *(form for form, _ in term.alike)):
            lexemes[form] = weighed.weights[form]
        for form in term.forms:  # each may be the stem of what the text says
            stems[form] = weighed.weights[form]
    words: set[str] = set()
    for chunk in chunks.values():
        words |= list_words(chunk.body)
    return WantedWords(lexemes, find_stemmed(words - lexemes.keys(), stems, languages), phrases)


_NOTHING = WantedWords({}, {}, ())


def _make_hit(found: Fused, place: ContentPlace, chunk: _Chunk, wanted: WantedWords) -> Hit:
    by_words = found.matched is not Matched.MEANING
    snippet = cut_snippet(chunk.body, wanted if by_words else _NOTHING)
    return Hit(
        dataset=place.dataset,
        dataset_id=place.dataset_id,
        path=place.path,
        paths=tuple(place.paths),
        paths_total=place.paths_total,
        version=place.version,
        record_id=place.record_id,
        sha256=bytes(place.sha256).hex(),
        size_bytes=place.size_bytes,
        modified_ns=place.modified_ns,
        source=place.source,
        fetched_at=place.fetched_at,
        age_s=round(place.age_s, 3),
        line=None if chunk.line is None else chunk.line + snippet.line,
        place=move_place(chunk.place, snippet.line + _count_lines_before_mark(snippet)),
        heading=chunk.heading,
        snippet=snippet.text,
        highlights=snippet.highlights,
        score=found.score,
        matched=found.matched,
    )


def _count_lines_before_mark(snippet: Snippet) -> int:
    """A row of a sheet is told where the first word stands that was found."""
    return snippet.text.count("\n", 0, snippet.highlights[0][0]) if snippet.highlights else 0


def count_facets(places: Sequence[ContentPlace]) -> dict[str, tuple[Facet, ...]]:
    """By `dataset`, `type` and `age`, the largest first; ages by their length."""
    datasets: dict[str, int] = {}
    types: dict[str, int] = {}
    ages: dict[str, int] = {}
    for place in places:
        datasets[place.dataset] = datasets.get(place.dataset, 0) + 1
        if suffix := find_suffix(place.path):
            types[suffix] = types.get(suffix, 0) + 1
        for name, most_s in AGES:
            if place.age_s <= most_s:
                ages[name] = ages.get(name, 0) + 1
    return {
        "dataset": _list_facets(datasets),
        "type": _list_facets(types),
        "age": tuple(Facet(name, ages[name]) for name, _ in AGES if name in ages),
    }


def find_suffix(path: str) -> str:
    """Such as `.md`, in lower case; empty where the name has none."""
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and suffix else ""


def _list_facets(counts: Mapping[str, int]) -> tuple[Facet, ...]:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return tuple(Facet(value, count) for value, count in ordered)
