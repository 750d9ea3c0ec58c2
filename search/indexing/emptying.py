"""Deletes texts of an index, with their chunks: those that no version needs any more, or all of them.

Nothing here has a constraint that would do it. So each deletion of texts takes their chunks with it, in one statement.
"""

from __future__ import annotations

import uuid
from typing import Any

import psycopg

from database.rows import Cursor

AT_ONCE = 500  # texts
KEPT_CHUNKS = 1_000  # of gone texts, however small the dataset is

_DELETE = """
WITH chosen AS ({chosen}),
texts AS (DELETE FROM search_indexedtext t USING chosen WHERE t.id = chosen.id RETURNING t.id),
chunks AS (DELETE FROM search_textchunk c USING texts WHERE c.text_id = texts.id RETURNING c.id),
paths AS (DELETE FROM search_textpaths p USING texts WHERE p.text_id = texts.id),
refusals AS (DELETE FROM search_chunkrefusal r USING chunks WHERE r.chunk_id = chunks.id)
SELECT (SELECT count(*) FROM texts), coalesce(array_agg(id), '{{}}') FROM chunks
"""
# The latest to go are the likeliest to come back: they stay as long as all of them are no more than what is current.
_GONE = """
SELECT t.id FROM search_indexedtext t
  JOIN (SELECT id, gone_at, sum(chunk_count) OVER (ORDER BY gone_at DESC, id DESC) AS chunks
          FROM search_indexedtext WHERE dataset_id = %(dataset)s AND gone_at IS NOT NULL) old USING (id)
 WHERE t.gone_at IS NOT NULL
   AND (old.gone_at < now() - make_interval(secs => %(keep_s)s)
        OR old.chunks > greatest(%(least)s, (SELECT chunk_count FROM search_datasetindex
                                              WHERE dataset_id = %(dataset)s)))
 LIMIT %(most)s FOR UPDATE OF t SKIP LOCKED
"""
_ANY = """
SELECT id FROM search_indexedtext WHERE dataset_id = %(dataset)s LIMIT %(most)s FOR UPDATE SKIP LOCKED
"""
_UNNAMED = """
SELECT t.id FROM search_indexedtext t
 WHERE t.dataset_id = %(dataset)s AND t.gone_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM datasets_entry e WHERE e.dataset_id = %(dataset)s AND e.sha256 = t.sha256)
 LIMIT %(most)s FOR UPDATE OF t SKIP LOCKED
"""
_EMPTY = """
UPDATE search_datasetindex
   SET emptying = false, indexed_version = NULL, recipe = '', pending_texts = 0, pending_chunks = 0, text_count = 0,
       chunk_count = 0, refused_count = 0
 WHERE dataset_id = %(dataset)s AND emptying
   AND NOT EXISTS (SELECT FROM search_indexedtext WHERE dataset_id = %(dataset)s)
"""
# Nobody plans new texts from here on, and who is writing a batch has locked its texts, and is waited for.
_FORGET = (
    "SELECT pg_advisory_xact_lock(hashtextextended('index of ' || id::text, 0)) FROM datasets_dataset"
    " WHERE workspace_id = %s ORDER BY id",
    "DELETE FROM search_textpaths WHERE text_id IN (SELECT t.id FROM search_indexedtext t"
    " JOIN datasets_dataset d ON d.id = t.dataset_id WHERE d.workspace_id = %s)",
    "DELETE FROM search_indexedtext WHERE dataset_id IN (SELECT id FROM datasets_dataset WHERE workspace_id = %s)",
    "DELETE FROM search_textchunk WHERE workspace_id = %s",
    "DELETE FROM search_chunkrefusal WHERE workspace_id = %s",
    "DELETE FROM search_datasetindex WHERE workspace_id = %s",
    "DELETE FROM search_knownword WHERE workspace_id = %s",
)
_FORGET_DATASET = (
    "SELECT pg_advisory_xact_lock(hashtextextended('index of ' || %s::text, 0))",
    "DELETE FROM search_indexedtext WHERE dataset_id = %s",
    "DELETE FROM search_textchunk WHERE dataset_id = %s",
    "DELETE FROM search_chunkrefusal WHERE dataset_id = %s",
    "DELETE FROM search_datasetindex WHERE dataset_id = %s",
)


def drop_gone(session: psycopg.Connection[Any], dataset_id: uuid.UUID, *, keep_s: float) -> int:
    """Deletes some texts that no current entry has named for so long, or that are too many; their number."""
    return _delete(session, _GONE, {"dataset": dataset_id, "keep_s": keep_s, "least": KEPT_CHUNKS})


def drop_unnamed(session: psycopg.Connection[Any], dataset_id: uuid.UUID) -> int:
    """Deletes some texts that no entry names, of no version; their number."""
    return _delete(session, _UNNAMED, {"dataset": dataset_id})


def empty_index(session: psycopg.Connection[Any], dataset_id: uuid.UUID) -> bool:
    """Deletes some texts of an index that is to be empty. Returns whether there may be more."""
    if _delete(session, _ANY, {"dataset": dataset_id}):
        return True
    session.execute(_EMPTY, {"dataset": dataset_id})
    return False


def forget_workspace(cursor: Cursor, workspace_id: uuid.UUID) -> None:
    """Call it in the transaction that deletes the workspace."""
    for statement in _FORGET:
        cursor.execute(statement, [workspace_id])


def forget_dataset(cursor: Cursor, dataset_id: uuid.UUID) -> None:
    """Call it in the transaction that deletes what the dataset holds."""
    for statement in _FORGET_DATASET:
        cursor.execute(statement, [dataset_id])


def _delete(session: psycopg.Connection[Any], chosen: str, parameters: dict[str, Any]) -> int:
    with session.transaction(), session.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute(_DELETE.format(chosen=chosen), parameters | {"most": AT_ONCE})
        [(count, _chunks)] = cursor.fetchall()
    return int(count)
