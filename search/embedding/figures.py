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
SELECT outcome, sum(total)::bigint FROM search_embeddingcount
 WHERE %(workspace)s::uuid IS NULL OR workspace_id = %(workspace)s GROUP BY outcome
"""


def read_embedding_requests(cursor: Cursor, workspace_id: uuid.UUID | None) -> Mapping[str, int]:
    """The requests of a workspace, or of all, by outcome; each outcome there can be, from 0 on."""
    cursor.execute(_READ, {"workspace": workspace_id})
    counts = dict.fromkeys((str(outcome) for outcome in OUTCOMES), 0)
    counts.update({str(outcome): int(total) for outcome, total in cursor.fetchall()})
    return counts
