"""Keeps the words of the paths under which a content lies now, so that a file is found by its name and its folders.

Paths belong to entries, and one content may have many: so their words stand beside the text, in a row of their own. It
is made anew where an entry of the content began or ended, whether or not the content is new: a file that moves keeps
its chunks and vectors. A search asks these rows who comes into question, and then looks at the current paths.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from database.rows import Cursor, fetch_rows
from search.core.lexemes import SIMPLE, split_path_words

AT_ONCE = 2_000  # contents
PATHS_MAX = 100  # of one content: whoever has more is an empty file or a licence

# In no order: an order by path tempts the planner to walk all paths of the dataset.
_TOUCHED = """
SELECT t.id, t.sha256, ARRAY(SELECT e.path FROM datasets_entry e WHERE e.dataset_id = t.dataset_id
                                AND e.sha256 = t.sha256 AND e.until IS NULL LIMIT %(paths)s) AS paths
  FROM search_indexedtext t
 WHERE t.dataset_id = %(dataset)s AND t.sha256 > %(after)s {changed}
 ORDER BY t.sha256 LIMIT %(most)s
"""
_CHANGED = """AND t.sha256 IN (
    SELECT sha256 FROM datasets_entry WHERE dataset_id = %(dataset)s AND since > 1 AND since > %(indexed)s
     UNION ALL
    SELECT sha256 FROM datasets_entry WHERE dataset_id = %(dataset)s AND until IS NOT NULL AND until > %(indexed)s)"""
_KEEP = """
INSERT INTO search_textpaths AS p (text_id, workspace_id, dataset_id, words)
SELECT s.text_id, %(workspace)s, %(dataset)s, array_to_tsvector(string_to_array(s.words, ' ')){stems}
  FROM unnest(%(ids)s::bigint[], %(words)s::text[]) s (text_id, words)
ON CONFLICT (text_id) DO UPDATE SET words = excluded.words WHERE p.words <> excluded.words
"""
_LEAVE = "DELETE FROM search_textpaths WHERE text_id = ANY(%(ids)s)"


@dataclass(frozen=True, slots=True)
class _Touched:
    id: int
    sha256: bytes
    paths: list[str]


def keep_paths(
    cursor: Cursor,
    workspace_id: uuid.UUID,
    dataset_id: uuid.UUID,
    configurations: Sequence[str],
    indexed_version: int | None,
) -> None:
    """Call it in the transaction that makes rows of the texts. `indexed_version` is the one whose words are known;
    None: all are made."""
    stems = "".join(
        f" || strip(to_tsvector('{name}', s.words))" for name in configurations if name != SIMPLE
    )
    terms: dict[str, Any] = {"workspace": workspace_id, "dataset": dataset_id}
    for touched in _iter_touched(cursor, dataset_id, indexed_version):
        gone = [text.id for text in touched if not text.paths]
        if gone:
            cursor.execute(_LEAVE, {"ids": gone})
        held = [text for text in touched if text.paths]
        words = [" ".join(sorted(split_path_words("\n".join(text.paths)))) for text in held]
        cursor.execute(
            _KEEP.format(stems=stems), terms | {"ids": [text.id for text in held], "words": words}
        )


def _iter_touched(
    cursor: Cursor, dataset_id: uuid.UUID, indexed_version: int | None
) -> Iterator[list[_Touched]]:
    statement = _TOUCHED.format(changed="" if indexed_version is None else _CHANGED)
    terms: dict[str, Any] = {
        "dataset": dataset_id, "indexed": indexed_version, "after": b"", "paths": PATHS_MAX, "most": AT_ONCE,
    }  # fmt: skip
    while True:
        cursor.execute(statement, terms)
        touched = fetch_rows(cursor, _Touched)
        if touched:
            yield touched
        if len(touched) < AT_ONCE:
            return
        terms["after"] = bytes(touched[-1].sha256)
