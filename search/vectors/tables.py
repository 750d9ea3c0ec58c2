"""The tables of vectors: one for each number of dimensions, made when the first vector of that size comes.

`search_vector_<dimensions>(chunk_id, generation, workspace_id, dataset_id, text_id, embedding halfvec)`. Vectors have length
1, so each of pgvector's operators ranks them alike. A question is answered by this table alone, without the chunks, which are
large: so it says whose each vector is. A vector goes with its chunk, by a reference of the database: whoever
deletes chunks leaves none.

Without the extension `vector` there are no tables, and search goes by words alone.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction

from database.extensions import has_extension
from search.choices import DIMENSIONS_MAX
from search.embedding.contract import Vector

# IVFFlat takes halfvec up to 4,000 dimensions (pgvector, README, "IVFFlat"), and a page holds little more in a row.
CELLS_DIMENSIONS_MAX = 4_000
_LOCK = "search.vectors.tables"
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)

_MAKE = """
CREATE TABLE IF NOT EXISTS {table} (
  chunk_id bigint NOT NULL REFERENCES search_textchunk (id) ON DELETE CASCADE,
  generation bigint NOT NULL,
  workspace_id uuid NOT NULL,
  dataset_id uuid NOT NULL,
  text_id bigint NOT NULL,
  embedding halfvec({dimensions}) NOT NULL,
  PRIMARY KEY (chunk_id, generation));
CREATE INDEX IF NOT EXISTS {table}_in_dataset ON {table} (generation, dataset_id);
CREATE INDEX IF NOT EXISTS {table}_of_text ON {table} (text_id);
ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE {storage};
"""
# It is empty at each commit. Vectors stand in their rows, as far as a page holds them.
_MAKE_STAGED = """
CREATE TEMP TABLE staged_vector (chunk_id bigint, embedding vector)
  WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS;
ALTER TABLE staged_vector ALTER COLUMN embedding SET STORAGE EXTERNAL;
"""
_STAGE = "COPY staged_vector (chunk_id, embedding) FROM STDIN (FORMAT binary)"
# The ids are told beside the table, of which the planner knows nothing. In one order, so that nobody waits in a circle.
_INSERT = """
INSERT INTO {table} (chunk_id, generation, workspace_id, dataset_id, text_id, embedding)
SELECT c.id, %(generation)s, c.workspace_id, c.dataset_id, c.text_id, s.embedding::halfvec
  FROM search_textchunk c JOIN staged_vector s ON s.chunk_id = c.id
 WHERE c.id = ANY(%(chunks)s) ORDER BY c.id FOR KEY SHARE OF c
ON CONFLICT DO NOTHING
"""


def vector_table(dimensions: int) -> str:
    """The name of the table for vectors of this size. Raises ValueError for a size that no table has."""
    if not 1 <= dimensions <= DIMENSIONS_MAX:
        raise ValueError(f"there are no vectors of {dimensions} dimensions")
    return f"search_vector_{dimensions}"


def has_vector_extension() -> bool:
    with connection.cursor() as cursor:
        return has_extension(cursor, "vector")


def has_vector_table(dimensions: int) -> bool:
    """False also for a size that no table has."""
    if not 1 <= dimensions <= DIMENSIONS_MAX:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [vector_table(dimensions)])
        return bool(cursor.fetchone()[0])


def find_vector_tables() -> list[tuple[str, int]]:
    """The tables that stand, with their dimensions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^search_vector_[0-9]+$'"
            " AND pg_table_is_visible(oid) ORDER BY relname"
        )
        return [(name, int(name.rpartition("_")[2])) for (name,) in cursor.fetchall()]


def ensure_vector_table(dimensions: int) -> str:
    """Makes the table unless it stands; its name. Call it outside of a transaction that holds rows."""
    table = vector_table(dimensions)
    if not has_vector_table(dimensions):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
            storage = "PLAIN" if dimensions <= CELLS_DIMENSIONS_MAX else "EXTERNAL"
            cursor.execute(_MAKE.format(table=table, dimensions=dimensions, storage=storage))
    return table


def open_staging() -> None:
    """Makes the session's staging table, once. Before `insert_vectors`, outside of a transaction that may be rolled back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.staged_vector') IS NULL")
        [is_missing] = cursor.fetchone()
        if is_missing:
            cursor.execute(_MAKE_STAGED)


def insert_vectors(
    cursor: Any, dimensions: int, generation: int, vectors: Mapping[int, Vector]
) -> int:
    """Writes vectors by the ids of their chunks, in the caller's transaction; how many those were. A chunk that is gone, or that
    has its vector, is passed over.

    They are copied into the session's staging table first: as 32-bit floats, because Python takes ten times as long to make half
    floats.
    """
    head, width = struct.Struct(">hiqihh"), 4 + 4 * dimensions
    with transaction.atomic(savepoint=False):
        with cursor.copy(_STAGE) as copying:
            copying.write(_COPY_HEAD)
            for chunk_id, vector in vectors.items():
                row = head.pack(2, 8, chunk_id, width, dimensions, 0)
                copying.write(row + _as_network_bytes(vector))
            copying.write(_COPY_END)
        statement = _INSERT.format(table=vector_table(dimensions))
        cursor.execute(statement, {"generation": generation, "chunks": list(vectors)})
        return int(cursor.rowcount)


def _as_network_bytes(vector: Vector) -> bytes:
    if sys.byteorder == "big":
        return vector.tobytes()
    swapped = vector[:]
    swapped.byteswap()
    return swapped.tobytes()
