"""Notes how the index of a dataset stands to what was published. The caller runs each function in the
transaction of what it notes; the row of the index is the last that this transaction locks."""

from __future__ import annotations

import uuid

from database.rows import Cursor
from search.core.wishes import IndexWish
from search.vectors.pending import forget_refusals

# The queue leaves an index alone for so long after a record has published or moved on: the record's own stage works on
# it. Who finds it later than that knows that no stage does.
ALONE_S = 30

_NEW = """
INSERT INTO search_datasetindex AS i
       (dataset_id, workspace_id, wish, state, published_version, pending_texts, pending_chunks, text_count,
        chunk_count, refused_count, token, owner, reason, emptying, since, not_before)
SELECT d.id, d.workspace_id, w.wish, CASE w.wish WHEN 'off' THEN 'off' ELSE 'catching_up' END, v.number,
       0, 0, 0, 0, 0, 0, '', '', false, CASE WHEN w.wish <> 'off' THEN w.at END,
       w.at + make_interval(secs => %(alone_s)s)
  FROM datasets_dataset d
 CROSS JOIN (SELECT %(wish)s::text AS wish, clock_timestamp() AS at) w
  JOIN datasets_version v ON v.dataset_id = d.id AND v.is_current
 WHERE d.id = %(dataset)s AND d.kind = 'files'
"""
_PUBLISHED = (
    _NEW
    + """
ON CONFLICT (dataset_id) DO UPDATE
   SET published_version = excluded.published_version,
       state = CASE WHEN i.wish = 'off' THEN 'off' WHEN i.state = 'blocked' THEN 'blocked' ELSE 'catching_up' END,
       since = CASE WHEN i.wish <> 'off' THEN coalesce(i.since, clock_timestamp()) END,
       not_before = clock_timestamp() + make_interval(secs => %(alone_s)s)
"""
)
_ENSURE = f"{_NEW} ON CONFLICT (dataset_id) DO NOTHING"
_WISH = """
UPDATE search_datasetindex
   SET wish = %(wish)s, emptying = emptying OR %(wish)s = 'off', not_before = NULL, rung_at = NULL, reason = '',
       state = CASE WHEN %(wish)s = 'off' THEN 'off' ELSE 'catching_up' END,
       since = CASE WHEN %(wish)s <> 'off' THEN coalesce(since, clock_timestamp()) END,
       pending_texts = CASE WHEN %(wish)s = 'off' THEN 0 ELSE pending_texts END,
       pending_chunks = CASE WHEN %(wish)s = 'words_and_meaning' THEN chunk_count ELSE 0 END
 WHERE dataset_id = %(dataset)s AND wish <> %(wish)s
"""
_AGAIN = """
UPDATE search_datasetindex
   SET recipe = '', state = 'catching_up', since = coalesce(since, clock_timestamp()), not_before = NULL, rung_at = NULL, reason = ''
 WHERE dataset_id = %(dataset)s AND wish <> 'off'
"""
# The words depend on the workspace's languages; a dataset whose words are made otherwise finds it by its recipe.
_BEHIND = """
UPDATE search_datasetindex
   SET state = 'catching_up', since = coalesce(since, clock_timestamp()), not_before = NULL,
       rung_at = NULL
 WHERE workspace_id = %(workspace)s AND wish <> 'off' AND state <> 'blocked'
"""


def note_published(cursor: Cursor, dataset_id: uuid.UUID, wish: IndexWish | None = None) -> None:
    """A version is current that was not: the index is behind from this moment. `wish` is the job's, for a dataset
    that has no index yet."""
    cursor.execute(_PUBLISHED, _parameters(dataset_id, wish))


def ensure_index(cursor: Cursor, dataset_id: uuid.UUID, wish: IndexWish | None = None) -> None:
    """Gives a dataset with versions the row of its index, where it has none."""
    cursor.execute(_ENSURE, _parameters(dataset_id, wish))


def note_wish(cursor: Cursor, dataset_id: uuid.UUID, wish: IndexWish) -> None:
    """A job has another wish: an index that is off is found empty at once, and is emptied by the queue."""
    cursor.execute(_WISH, {"dataset": dataset_id, "wish": wish.value})


def ask_reindex(cursor: Cursor, dataset_id: uuid.UUID) -> None:
    """Every text is to be made again, and what was refused a vector is asked for once more. What is there serves until
    then."""
    forget_refusals(cursor, dataset_id)
    cursor.execute(_AGAIN, {"dataset": dataset_id})


def note_workspace(cursor: Cursor, workspace_id: uuid.UUID) -> None:
    """What all indexes of the workspace depend on has changed."""
    cursor.execute(_BEHIND, {"workspace": workspace_id})


def _parameters(dataset_id: uuid.UUID, wish: IndexWish | None) -> dict[str, object]:
    chosen = IndexWish.WORDS_AND_MEANING if wish is None else wish
    return {"dataset": dataset_id, "wish": chosen.value, "alone_s": ALONE_S}
