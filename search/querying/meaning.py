"""The list of contents that are nearest in meaning, the nearest first.

The rule of `search.core.scanning` decides how: PostgreSQL compares each vector in scope, or walks the graph (HNSW) far
enough that it finds the nearest among texts that are much alike, and takes of these what the filters admit. Where that is
too little, the walk goes on until enough were found that the filters admit; and where that ends early, all are compared. So
a filter never makes the list short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection

from database.rows import Cursor, fetch_rows
from search.core.fusion import MeaningHit
from search.core.scanning import Scan, choose_scan
from search.embedding.queries import QueryVector
from search.models import IndexGeneration
from search.querying.scope import SearchScope
from search.vectors.tables import has_vector_table, vector_table

EF = 1_000  # the most that pgvector takes
# Near chunks that a walk finds, for each content that is wanted: with fewer it misses some among texts that are much alike.
WALKED = 20
WALKED_ROWS = range(2_000, 6_000)
WALKED_OF = 150  # the larger the graph, the more of it must be seen: one chunk of so many
WALK_ENOUGH = 50  # contents; fewer are no answer of a walk
SCANNED_MAX = 200_000
CHUNKS_OF_CONTENT = 5  # near chunks that are looked for, for each content that is wanted
LOOKED_FACTOR = 10  # of these, so many are looked at for each: filters admit some of them

# Of the nearest, as many as are needed are asked whether they are in scope: that costs ten times what a comparison does.
_EXACT = """
SELECT near.text_id, near.chunk_id, -near.d AS likeness
  FROM (SELECT v.chunk_id, v.text_id, v.workspace_id, v.dataset_id, v.d
          FROM (SELECT v.chunk_id, v.text_id, v.workspace_id, v.dataset_id, v.embedding <#> %(vector)s::halfvec AS d
                  FROM {table} v WHERE v.generation = %(generation)s AND {first} OFFSET 0) v
         ORDER BY v.d LIMIT %(looked)s) near
 WHERE {scope}
 ORDER BY near.d LIMIT %(chunks)s
"""

# The walk answers in no strict order, which PostgreSQL does not know: an order by the distance itself would not be sorted.
_WALK = """
SELECT near.text_id, near.chunk_id, 1 - near.d AS likeness
  FROM (SELECT w.chunk_id, w.text_id, w.workspace_id, w.dataset_id, w.d + 0 AS d
          FROM (SELECT v.chunk_id, v.text_id, v.workspace_id, v.dataset_id,
                                v.embedding <=> %(vector)s::halfvec AS d
                           FROM {table} v WHERE v.generation = %(generation)s AND {walked}
                          ORDER BY v.embedding <=> %(vector)s::halfvec LIMIT %(looked)s) w
         ORDER BY w.d + 0 OFFSET 0) near
 WHERE {scope}
 ORDER BY near.d LIMIT %(chunks)s
"""

_COUNT = """
SELECT coalesce(sum(i.chunk_count), 0)::bigint FROM search_datasetindex i WHERE {scope}
"""
_COUNT_TEXTS = """
SELECT coalesce(sum(t.chunk_count), 0)::bigint FROM search_indexedtext t WHERE {texts}
"""


def list_by_meaning(scope: SearchScope, asked: QueryVector, most: int) -> list[MeaningHit]:
    """Each content once, with its nearest chunk. Within a transaction, which its settings are for."""
    generation = IndexGeneration.objects.filter(pk=asked.generation or 0).first()
    if generation is None or not has_vector_table(asked.dimensions or 1):
        return []
    table = vector_table(asked.dimensions or 1)
    parameters = {
        **scope.parameters,
        "vector": asked.literal,
        "generation": generation.pk,
        "chunks": most * CHUNKS_OF_CONTENT,
    }
    with connection.cursor() as cursor:
        if _choose(cursor, scope, has_graph=generation.has_graph) is Scan.GRAPH:
            found = _walk(cursor, scope, table, parameters, most)
            if len(found) >= min(most, WALK_ENOUGH):
                return found[:most]
        return _compare(cursor, scope, table, parameters, most)


def _choose(cursor: Cursor, scope: SearchScope, *, has_graph: bool) -> Scan:
    """Nothing is counted where there is no graph."""
    if not has_graph:
        return Scan.EXACT
    if scope.chunk_count is not None:
        return choose_scan(scope.chunk_count, has_graph=True)
    if scope.text_ids is not None:
        statement = _COUNT_TEXTS.format(texts=scope.limit_first("t", "id"))
    else:
        statement = _COUNT.format(scope=scope.limit_rows("i"))
    cursor.execute(statement, scope.parameters)
    [in_scope] = cursor.fetchone()
    return choose_scan(in_scope, has_graph=True)


def _walk(
    cursor: Cursor, scope: SearchScope, table: str, parameters: Mapping[str, Any], most: int
) -> list[MeaningHit]:
    cursor.execute(
        "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true),"
        " set_config('hnsw.ef_search', %s, true), set_config('hnsw.max_scan_tuples', %s, true)",
        [str(EF), str(SCANNED_MAX)],
    )
    everything = SearchScope(scope.workspace_id)
    cursor.execute(_COUNT.format(scope=everything.limit_rows("i")), everything.parameters)
    [in_all] = cursor.fetchone()
    wanted = max(most * WALKED, in_all // WALKED_OF, WALKED_ROWS.start)
    looked = min(wanted, WALKED_ROWS.stop)
    workspace = everything.limit_rows("v")
    found: list[MeaningHit] = []
    for walked, count in ((workspace, looked), (scope.limit_chunks("v"), most * CHUNKS_OF_CONTENT)):
        statement = _WALK.format(table=table, walked=walked, scope=scope.limit_chunks("near"))
        cursor.execute(statement, {**parameters, "looked": count})
        found = _join_chunks(fetch_rows(cursor, MeaningHit))
        if len(found) >= min(most, WALK_ENOUGH):
            break
    return found


def _compare(
    cursor: Cursor, scope: SearchScope, table: str, parameters: Mapping[str, Any], most: int
) -> list[MeaningHit]:
    """Looks at a part of them first, and further where that is short."""
    statement = _EXACT.format(
        table=table, first=scope.limit_first("v"), scope=scope.limit_chunks("near")
    )
    chunks = most * CHUNKS_OF_CONTENT
    for enough, looked in (
        (chunks, chunks * LOOKED_FACTOR),
        (chunks * LOOKED_FACTOR, None),
        (None, None),
    ):
        cursor.execute(statement, {**parameters, "chunks": enough, "looked": looked})
        rows = fetch_rows(cursor, MeaningHit)
        found = _join_chunks(rows)
        if len(found) >= most or (looked is None and len(rows) != enough):
            break
    return found[:most]


def _join_chunks(rows: Iterable[MeaningHit]) -> list[MeaningHit]:
    """Each content once."""
    found: dict[int, MeaningHit] = {}
    for hit in sorted(rows, key=lambda hit: (-hit.likeness, hit.text_id)):
        found.setdefault(hit.text_id, hit)
    return list(found.values())
