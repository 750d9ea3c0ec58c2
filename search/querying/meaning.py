"""The list of contents that are nearest in meaning, the nearest first.

The rule of `search.core.scanning` decides how: PostgreSQL compares each vector in scope, or walks the graph (HNSW) with
iterative scans, which go on until enough were found that the filters admit. A walk that ends early is made up for by
comparing all. So a filter never makes the list short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import Sum

from database.rows import Cursor, fetch_rows
from search.core.fusion import MeaningHit
from search.core.scanning import EXACT_ROWS_OF_FEW, Scan, choose_scan
from search.embedding.queries import QueryVector
from search.models import DatasetIndex, IndexGeneration
from search.querying.scope import SearchScope
from search.vectors.tables import has_vector_table, vector_table

EF = 1_000  # the most that pgvector takes: among texts that are nearly alike 300 finds 79 to 86 % of the nearest, this 94 to 97 %
WALK_ENOUGH = 20  # contents; fewer are no answer of a walk
WALK_ROWS_MAX = 200_000
CHUNKS_OF_WALK = 3  # near chunks that are looked for, for each content that is wanted

_EXACT = """
SELECT text_id, chunk_id, likeness FROM (
    SELECT DISTINCT ON (c.text_id) c.text_id, c.id AS chunk_id, 1 - v.d AS likeness
      FROM (SELECT v.chunk_id, v.embedding <=> %(vector)s::halfvec AS d FROM {table} v
             WHERE v.generation = %(generation)s AND {rows} OFFSET 0) v
      JOIN search_textchunk c ON c.id = v.chunk_id
     WHERE {scope}
     ORDER BY c.text_id, v.d) best
 ORDER BY likeness DESC, text_id LIMIT %(most)s
"""

_EXACT_OF_FEW = """
WITH admitted AS MATERIALIZED (SELECT t.id FROM search_indexedtext t WHERE {texts})
SELECT text_id, chunk_id, likeness FROM (
    SELECT DISTINCT ON (c.text_id) c.text_id, c.id AS chunk_id,
           1 - (v.embedding <=> %(vector)s::halfvec) AS likeness
      FROM admitted a JOIN search_textchunk c ON c.text_id = a.id
      JOIN {table} v ON v.chunk_id = c.id AND v.generation = %(generation)s AND {rows}
     ORDER BY c.text_id, v.embedding <=> %(vector)s::halfvec) best
 ORDER BY likeness DESC, text_id LIMIT %(most)s
"""

_WALK = """
SELECT c.text_id, near.chunk_id, 1 - near.d AS likeness
  FROM (SELECT v.chunk_id, v.embedding <=> %(vector)s::halfvec AS d FROM {table} v
         WHERE v.generation = %(generation)s AND {rows}
           AND (SELECT true FROM search_textchunk c WHERE c.id = v.chunk_id AND {scope})
         ORDER BY v.embedding <=> %(vector)s::halfvec LIMIT %(chunks)s) near
  JOIN search_textchunk c ON c.id = near.chunk_id
 ORDER BY near.d, c.text_id
"""

_COUNT = """
SELECT coalesce(sum(few.chunk_count), 0)
  FROM (SELECT t.chunk_count FROM search_indexedtext t WHERE t.state = 'done' AND {texts} LIMIT %(most)s) few
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
        "most": most,
        "chunks": most * CHUNKS_OF_WALK,
    }
    with connection.cursor() as cursor:
        if _choose(cursor, scope, has_graph=generation.has_graph) is Scan.GRAPH:
            found = _walk(cursor, scope, table, parameters)
            if len(found) >= min(most, WALK_ENOUGH):
                return found
        is_narrow = scope.has_filters or scope.text_ids is not None
        return _fetch(cursor, _EXACT_OF_FEW if is_narrow else _EXACT, scope, table, parameters)


def _choose(cursor: Cursor, scope: SearchScope, *, has_graph: bool) -> Scan:
    """Nothing is counted where there is no graph."""
    if not has_graph:
        return Scan.EXACT
    rows = DatasetIndex.objects.filter(workspace_id=scope.workspace_id)
    in_all = int(rows.aggregate(total=Sum("chunk_count"))["total"] or 0)
    if scope.has_filters or scope.text_ids is not None:
        in_scope = _count(cursor, scope)
    elif scope.dataset_ids:
        rows = rows.filter(dataset_id__in=scope.dataset_ids)
        in_scope = int(rows.aggregate(total=Sum("chunk_count"))["total"] or 0)
    else:
        in_scope = in_all
    return choose_scan(in_scope, in_all, has_graph=True)


def _walk(
    cursor: Cursor, scope: SearchScope, table: str, parameters: Mapping[str, Any]
) -> list[MeaningHit]:
    cursor.execute(
        "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true),"
        " set_config('hnsw.ef_search', %s, true), set_config('hnsw.max_scan_tuples', %s, true)",
        [str(EF), str(WALK_ROWS_MAX)],
    )
    found: dict[int, MeaningHit] = {}
    for hit in _fetch(cursor, _WALK, scope, table, parameters):
        found.setdefault(hit.text_id, hit)
    return list(found.values())[: parameters["most"]]


def _fetch(
    cursor: Cursor, statement: str, scope: SearchScope, table: str, parameters: Mapping[str, Any]
) -> list[MeaningHit]:
    written = statement.format(
        table=table,
        rows=scope.limit_rows("v"),
        scope=scope.limit_chunks("c"),
        texts=scope.limit_texts("t"),
    )
    cursor.execute(written, parameters)
    return fetch_rows(cursor, MeaningHit)


def _count(cursor: Cursor, scope: SearchScope) -> int:
    """Chunks in scope; stops counting where the number decides nothing any more."""
    cursor.execute(
        _COUNT.format(texts=scope.limit_texts("t")),
        {**scope.parameters, "most": EXACT_ROWS_OF_FEW + 1},
    )
    [count] = cursor.fetchone()
    return int(count)
