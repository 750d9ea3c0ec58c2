"""Which files of a dataset are not found by all that stands in them, and why."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from django.db import connection

from database.rows import fetch_rows

# Texts first, then chunks. A content with several paths is told once, by the first of them.
_PATH = """
CROSS JOIN LATERAL (SELECT path FROM datasets_entry
                     WHERE dataset_id = t.dataset_id AND sha256 = t.sha256 AND until IS NULL
                     ORDER BY path LIMIT 1) e
"""
_TEXTS = f"""
SELECT 0 AS source, t.id, e.path, t.sha256, t.code, t.note AS detail, t.at, NULL::int AS chunk
  FROM search_indexedtext t {_PATH}
 WHERE t.dataset_id = %(dataset)s AND t.code <> '' AND t.state <> 'pending' AND t.gone_at IS NULL AND t.id > %(after)s
 ORDER BY t.id LIMIT %(most)s
"""  # noqa: S608 — made of constants
_CHUNKS = f"""
SELECT 1 AS source, r.id, e.path, t.sha256, r.code, r.note AS detail, r.at, c.n AS chunk
  FROM search_chunkrefusal r
  JOIN search_indexgeneration g ON g.id = r.generation_id AND g.state <> 'retired'
  JOIN search_textchunk c ON c.id = r.chunk_id
  JOIN search_indexedtext t ON t.id = c.text_id AND t.gone_at IS NULL {_PATH}
 WHERE r.dataset_id = %(dataset)s AND r.id > %(after)s ORDER BY r.id LIMIT %(most)s
"""  # noqa: S608 — made of constants


class TroubleSource(IntEnum):
    """Where a trouble stands: the order in which they are listed."""

    TEXT = 0
    CHUNK = 1


_STATEMENTS = {TroubleSource.TEXT: _TEXTS, TroubleSource.CHUNK: _CHUNKS}


@dataclass(frozen=True, slots=True)
class IndexTrouble:
    """`source` and `id` are the place in the list. `chunk` is the number of one chunk; None: all of the file's text."""

    source: int
    id: int
    path: str
    sha256: bytes
    code: str
    detail: str
    at: datetime
    chunk: int | None


def list_troubles(
    dataset_id: uuid.UUID, *, source: TroubleSource, after: int, most: int
) -> list[IndexTrouble]:
    """Returns those behind this place, at most so many."""
    found: list[IndexTrouble] = []
    for one in TroubleSource:
        if one < source or len(found) >= most:
            continue
        told: dict[str, Any] = {
            "dataset": dataset_id,
            "after": after if one is source else 0,
            "most": most - len(found),
        }
        with connection.cursor() as cursor:
            cursor.execute(_STATEMENTS[one], told)
            found += fetch_rows(cursor, IndexTrouble)
    return found
