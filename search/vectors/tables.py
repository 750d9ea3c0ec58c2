"""The tables of vectors: one for each number of dimensions, made when the first vector of that size comes.

`search_vector_<dimensions>(chunk_id, generation, workspace_id, dataset_id, text_id, embedding halfvec)`. Vectors have length
1, so each of pgvector's operators ranks them alike. A question is answered by this table alone, without the chunks, which are
large: so it says whose each vector is. A vector goes with its chunk, by a reference of the database: whoever
deletes chunks leaves none.

Without the extension `vector` there are no tables, and search goes by words alone.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from database.extensions import has_extension
from search.choices import DIMENSIONS_MAX
from search.embedding.contract import Vector

# IVFFlat takes halfvec up to 4,000 dimensions (pgvector, README, "IVFFlat").
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
ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE PLAIN;
"""


@dataclass(frozen=True, slots=True)
class ChunkVector:
    """One row of such a table."""

    chunk_id: int
    generation: int
    workspace_id: uuid.UUID
    dataset_id: uuid.UUID
    text_id: int
    vector: Vector


def vector_table(dimensions: int) -> str:
    """The name of the table for vectors of this size. Raises ValueError for a size that no table has."""
    if not 1 <= dimensions <= DIMENSIONS_MAX:
        raise ValueError(f"there are no vectors of {dimensions} dimensions")
    return f"search_vector_{dimensions}"


def has_vector_extension() -> bool:
    with connection.cursor() as cursor:
        return has_extension(cursor, "vector")


def has_vector_table(dimensions: int) -> bool:
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
            cursor.execute(_MAKE.format(table=table, dimensions=dimensions))
    return table


def copy_vectors(cursor: Any, dimensions: int, rows: Iterable[ChunkVector]) -> None:
    """Writes rows by binary COPY, in the caller's transaction. Raises IntegrityError for a chunk that is gone or has
    its vector."""
    head = struct.Struct(">hiqiqi16si16siqihh")
    values = struct.Struct(f">{dimensions}e")
    columns = "chunk_id, generation, workspace_id, dataset_id, text_id, embedding"
    statement = f"COPY {vector_table(dimensions)} ({columns}) FROM STDIN (FORMAT binary)"
    with cursor.copy(statement) as copying:
        copying.write(_COPY_HEAD)
        for row in rows:
            copying.write(
                head.pack(
                    *(6, 8, row.chunk_id, 8, row.generation),
                    *(16, row.workspace_id.bytes, 16, row.dataset_id.bytes),
                    *(8, row.text_id),
                    *(4 + 2 * dimensions, dimensions, 0),
                )
                + values.pack(*row.vector)
            )
        copying.write(_COPY_END)
