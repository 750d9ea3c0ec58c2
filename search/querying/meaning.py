"""The list of contents that are nearest in meaning, the nearest first.

The rule of `search.core.scanning` decides how: PostgreSQL compares each vector in scope, or those of the nearest cells, and
takes of these, the nearest first, what the filters admit. Where that is too little, it looks into further cells until enough
were found that the filters admit; and where that ends early, all are compared. So a filter never makes the list short.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from database.rows import Cursor, fetch_rows
from search.core.fusion import MeaningHit
from search.core.scanning import Scan, choose_scan, count_probes
from search.core.wishes import IndexWish
from search.embedding.queries import QueryVector
from search.models import DatasetIndex, IndexGeneration
from search.querying.scope import SearchScope
from search.vectors.tables import has_vector_table, vector_table

ENOUGH = 50  # contents; fewer are no answer of cells
LOOKED_MAX = 50_000  # chunks of cells that are looked at, until enough are in scope
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

# Cells answer in order, as far as one after another is asked for: so no more are looked at than it takes.
_CELLS = """
SELECT near.text_id, near.chunk_id, -near.d AS likeness
  FROM (SELECT v.chunk_id, v.text_id, v.workspace_id, v.dataset_id, v.embedding <#> %(vector)s::halfvec AS d
          FROM {table} v WHERE v.generation = %(generation)s AND {first}
         ORDER BY v.embedding <#> %(vector)s::halfvec LIMIT %(looked)s) near
 WHERE {scope} LIMIT %(chunks)s
"""

_MEANT = """
SELECT t.id FROM unnest(%(asked)s::bigint[]) t (id)
 WHERE EXISTS (SELECT FROM {table} v WHERE v.text_id = t.id AND v.generation = %(generation)s AND {scope})
"""

# A sort is what PostgreSQL must not plan: it would compare all for it. That of all found vectors takes place in the index.
_SET = """
SELECT set_config('ivfflat.probes', %s, true), set_config('ivfflat.iterative_scan', 'relaxed_order', true),
       set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true)
"""
_UNSET = "SELECT set_config('enable_sort', 'on', true)"

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
        in_all = _count_all(cursor, scope) if generation.cell_count else 0
        if _choose(cursor, scope, in_all) is Scan.CELLS:
            probes = count_probes(generation.cell_count, in_all)
            found = _look_into_cells(cursor, scope, table, parameters, probes)
            if len(found) >= min(most, ENOUGH):
                return found[:most]
        return _compare(cursor, scope, table, parameters, most)


def list_words_only(workspace_id: uuid.UUID) -> list[uuid.UUID]:
    """The datasets that are to be found by words alone, or by nothing. They may have vectors left from before."""
    rows = DatasetIndex.objects.filter(workspace_id=workspace_id)
    rows = rows.exclude(wish=IndexWish.WORDS_AND_MEANING)
    return list(rows.values_list("dataset_id", flat=True))


def find_unmeant(scope: SearchScope, asked: QueryVector, text_ids: Sequence[int]) -> set[int]:
    """Returns those of the contents that have no vector of the question's generation in scope."""
    statement = _MEANT.format(
        table=vector_table(asked.dimensions or 1), scope=scope.limit_rows("v")
    )
    told = {**scope.parameters, "generation": asked.generation, "asked": list(text_ids)}
    with connection.cursor() as cursor:
        cursor.execute(statement, told)
        return set(text_ids) - {text_id for (text_id,) in cursor.fetchall()}


def _count_all(cursor: Cursor, scope: SearchScope) -> int:
    everything = SearchScope(scope.workspace_id)
    cursor.execute(_COUNT.format(scope=everything.limit_rows("i")), everything.parameters)
    [count] = cursor.fetchone()
    return int(count)


def _choose(cursor: Cursor, scope: SearchScope, in_all: int) -> Scan:
    """Nothing is counted where there are no cells."""
    if not in_all:
        return Scan.EXACT
    if scope.chunk_count is not None:
        return choose_scan(scope.chunk_count, in_all, has_cells=True)
    if scope.text_ids is not None:
        statement = _COUNT_TEXTS.format(texts=scope.limit_first("t", "id"))
    else:
        statement = _COUNT.format(scope=scope.limit_rows("i"))
    cursor.execute(statement, scope.parameters)
    [in_scope] = cursor.fetchone()
    return choose_scan(in_scope, in_all, has_cells=True)


def _look_into_cells(
    cursor: Cursor, scope: SearchScope, table: str, parameters: Mapping[str, Any], probes: int
) -> list[MeaningHit]:
    cursor.execute(_SET, [str(probes)])
    statement = _CELLS.format(
        table=table, first=scope.limit_first("v"), scope=scope.limit_chunks("near")
    )
    cursor.execute(statement, {**parameters, "looked": LOOKED_MAX})
    found = _join_chunks(fetch_rows(cursor, MeaningHit))
    cursor.execute(_UNSET)
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
