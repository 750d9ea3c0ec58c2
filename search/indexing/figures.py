"""What the indexes of a workspace, or of the whole installation, still lack: for Prometheus."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from database.rows import Cursor, fetch_rows

DATASETS_SHOWN = 20  # of a workspace: those that lack most. Prometheus keeps each name for weeks

# The rows of indexes alone are read: one a dataset.
_FIGURES = """
SELECT w.name AS workspace, CASE WHEN i.place <= %(shown)s THEN d.name ELSE '' END AS dataset,
       coalesce(sum(i.pending_chunks), 0)::bigint AS pending_chunks,
       coalesce(sum(i.pending_texts), 0)::bigint AS pending_texts,
       coalesce(extract(epoch FROM now() - min(i.since)), 0)::float8 AS oldest_pending_s
  FROM workspaces_workspace w
  LEFT JOIN (SELECT *, row_number() OVER (PARTITION BY workspace_id
                                          ORDER BY pending_texts + pending_chunks DESC, since, dataset_id) AS place
               FROM search_datasetindex WHERE state IN ('catching_up', 'blocked')) i ON i.workspace_id = w.id
  LEFT JOIN datasets_dataset d ON d.id = i.dataset_id
 WHERE %(workspace)s::uuid IS NULL OR w.id = %(workspace)s GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """What one dataset lacks; with an empty name, all other datasets of the workspace together."""

    workspace: str
    dataset: str
    pending_chunks: int
    pending_texts: int
    oldest_pending_s: float


def read_index_figures(cursor: Cursor, workspace_id: uuid.UUID | None) -> list[IndexFigures]:
    cursor.execute(_FIGURES, {"workspace": workspace_id, "shown": DATASETS_SHOWN})
    return fetch_rows(cursor, IndexFigures)
