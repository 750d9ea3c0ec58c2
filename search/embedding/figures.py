"""How often embedding services were asked, for /metrics."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from database.rows import Cursor
from search.embedding.contract import EmbedCode

OK, REFUSED = "ok", "refused"
# What may come of a request; `refused` is of its texts, or of their number.
OUTCOMES = (
    *(OK, REFUSED, EmbedCode.UNREACHABLE, EmbedCode.TIMEOUT, EmbedCode.LIMITED),
    *(EmbedCode.REFUSED_KEY, EmbedCode.PROTOCOL, EmbedCode.DIMENSION),
)

_READ = """
SELECT w.name AS workspace, c.outcome, c.total FROM workspaces_workspace w
  LEFT JOIN search_embeddingcount c ON c.workspace_id = w.id
 WHERE %(workspace)s::uuid IS NULL OR w.id = %(workspace)s
"""


def read_embedding_requests(
    cursor: Cursor, workspace_id: uuid.UUID | None
) -> Mapping[tuple[str, str], int]:
    """The requests of a workspace, or of each, by its name and the outcome; each outcome there can be, from 0 on."""
    cursor.execute(_READ, {"workspace": workspace_id})
    rows = cursor.fetchall()
    names = sorted({name for name, *_ in rows})
    counts = {(name, str(outcome)): 0 for name in names for outcome in OUTCOMES}
    counts.update({(name, outcome): int(total) for name, outcome, total in rows if outcome})
    return counts
