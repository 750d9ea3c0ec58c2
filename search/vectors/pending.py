"""How many chunks of a dataset still want a vector, and the state of its index that follows."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection

from database.rows import Cursor
from search.core.wishes import IndexWish
from search.models import DatasetIndex
from search.vectors.tables import has_vector_table, vector_table

WORDS_ONLY = "no_vectors: the database has no extension vector, so search is by words"

_REFUSED = """
NOT EXISTS (SELECT FROM search_chunkrefusal r WHERE r.chunk_id = c.id AND r.generation_id = %(generation)s)
"""
_COUNT = """
UPDATE search_datasetindex i SET pending_chunks = CASE WHEN i.wish <> 'words_and_meaning' THEN 0 ELSE (
       SELECT count(*) FROM search_textchunk c
         JOIN search_indexedtext t ON t.id = c.text_id AND t.gone_at IS NULL
        WHERE c.dataset_id = i.dataset_id AND {missing}) END
 WHERE i.workspace_id = %(workspace)s AND (%(dataset)s::uuid IS NULL OR i.dataset_id = %(dataset)s)
"""
_NONE = """
UPDATE search_datasetindex SET pending_chunks = 0
 WHERE workspace_id = %(workspace)s AND pending_chunks <> 0
"""
# A dataset whose text is not all known is not judged by its vectors.
_SETTLE = """
UPDATE search_datasetindex i
   SET state = CASE WHEN i.pending_chunks = 0 THEN 'current' WHEN e.blocked THEN 'blocked' ELSE 'catching_up' END,
       since = CASE WHEN i.pending_chunks > 0 THEN coalesce(i.since, now()) END,
       reason = CASE WHEN i.pending_chunks > 0 THEN e.reason ELSE %(words_only)s END,
       not_before = CASE WHEN i.pending_chunks > 0 THEN e.not_before END
  FROM (SELECT coalesce(bool_or(needs_person), false) AS blocked, max(not_before) AS not_before,
               coalesce(max(CASE WHEN code <> '' THEN code || ': ' || detail END), '') AS reason
          FROM search_embeddingstate WHERE workspace_id = %(workspace)s) e
 WHERE i.dataset_id IN (
       SELECT dataset_id FROM search_datasetindex
        WHERE workspace_id = %(workspace)s AND state <> 'off' AND pending_texts = 0
          AND indexed_version IS NOT DISTINCT FROM published_version
          FOR NO KEY UPDATE SKIP LOCKED)
"""
# In one order, so that nobody waits in a circle.
_FORGET_REFUSALS = """
DELETE FROM search_chunkrefusal WHERE id IN (
       SELECT id FROM search_chunkrefusal WHERE dataset_id = %s ORDER BY id FOR UPDATE)
"""


def forget_refusals(cursor: Cursor, dataset_id: uuid.UUID) -> None:
    """What was refused a vector is asked for again, where vectors are wanted."""
    cursor.execute(_FORGET_REFUSALS, [dataset_id])


def wishes_meaning(dataset_id: uuid.UUID) -> bool:
    """Whether the dataset is found by meaning too."""
    rows = DatasetIndex.objects.filter(pk=dataset_id, wish=IndexWish.WORDS_AND_MEANING)
    return rows.exists()


def find_missing(dimensions: int | None) -> str:
    """The condition, in SQL, of a chunk `c` that has neither vector nor refusal in `%(generation)s`."""
    if dimensions is None or not has_vector_table(dimensions):
        return _REFUSED
    vectors = vector_table(dimensions)
    return f"""NOT EXISTS (SELECT FROM {vectors} v WHERE v.chunk_id = c.id AND v.generation = %(generation)s)
      AND {_REFUSED}"""


def recount_pending(
    workspace_id: uuid.UUID,
    generation: int,
    dimensions: int | None,
    *,
    dataset_id: uuid.UUID | None = None,
) -> None:
    """Counts anew what wants a vector of this generation, in one dataset or in all of the workspace."""
    told: dict[str, Any] = {
        "workspace": workspace_id,
        "generation": generation,
        "dataset": dataset_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT.format(missing=find_missing(dimensions)), told)


def forget_pending(workspace_id: uuid.UUID) -> None:
    """Nothing wants a vector: there is no service, or no table to keep them."""
    with connection.cursor() as cursor:
        cursor.execute(_NONE, {"workspace": workspace_id})


def settle_states(workspace_id: uuid.UUID, *, words_only: bool = False) -> None:
    """Judges every index of the workspace whose text is known by what wants a vector, and by the breaker. One that
    somebody writes just now is passed over: whoever does so settles it."""
    told: dict[str, Any] = {
        "workspace": workspace_id,
        "words_only": WORDS_ONLY if words_only else "",
    }
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, told)
