"""Publishes an older version again, as a new one. The caller owns the transaction."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from database.rows import fetch_rows
from datasets.versions import Published

# What the older version held and the current one does not, beside what holds its place now. A file that is
# held as it was then needs nothing, and neither does what came between and went again.
_BACK = """
CREATE TEMP TABLE back ON COMMIT DROP AS
SELECT o.id AS old_id, c.id AS current_id
  FROM (SELECT * FROM datasets_entry
         WHERE dataset_id = %(dataset)s AND until > %(target)s AND since <= %(target)s) o
  FULL JOIN (SELECT * FROM datasets_entry
              WHERE dataset_id = %(dataset)s AND until IS NULL AND since > %(target)s AND since > 1) c
    ON c.path = o.path
 WHERE (o.sha256, o.modified_ns) IS DISTINCT FROM (c.sha256, c.modified_ns)
"""

_COUNT = """
SELECT count(*) FILTER (WHERE current_id IS NULL) AS added,
       count(*) FILTER (WHERE current_id IS NOT NULL AND old_id IS NOT NULL) AS changed,
       count(*) FILTER (WHERE old_id IS NULL) AS removed FROM back
"""

_END_ENTRIES = """
UPDATE datasets_entry e SET until = %(number)s FROM back b WHERE e.id = b.current_id
"""

# With all that later comparisons lean on: what the source has otherwise by now is fetched by the next sync.
_ADD_ENTRIES = """
INSERT INTO datasets_entry
       (dataset_id, path, size_bytes, modified_ns, etag, sha256, settled, content_type,
        source, seen_modified_ns, since)
SELECT e.dataset_id, e.path, e.size_bytes, e.modified_ns, e.etag, e.sha256, e.settled,
       e.content_type, e.source, e.seen_modified_ns, %(number)s
  FROM back b JOIN datasets_entry e ON e.id = b.old_id ORDER BY e.path
"""

_END_VERSION = """
UPDATE datasets_version SET is_current = false WHERE dataset_id = %(dataset)s AND is_current
"""
_ADD_VERSION = """
INSERT INTO datasets_version (dataset_id, number, is_current, restores, restored_by, created_at, file_count,
    size_bytes, files_added, files_changed, files_removed)
SELECT dataset_id, %(number)s, true, %(target)s, %(by)s, now(), file_count, size_bytes,
       %(added)s, %(changed)s, %(removed)s
  FROM datasets_version WHERE dataset_id = %(dataset)s AND number = %(target)s
"""


@dataclass(frozen=True, slots=True)
class _Counts:
    added: int
    changed: int
    removed: int


def write_rollback(dataset_id: uuid.UUID, *, current: int, target: int, by: str) -> Published:
    """Publishes what version `target` holds once more. `number` is None where `current` holds the same, and then
    nothing was written. The dataset's row is locked by the caller, who has taken a fencing token."""
    parameters: dict[str, Any] = {
        "dataset": dataset_id,
        "number": current + 1,
        "target": target,
        "by": by,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BACK, parameters)
        cursor.execute("ANALYZE back")  # else the joins are planned as if it were small
        cursor.execute(_COUNT)
        [counts] = fetch_rows(cursor, _Counts)
        if not (counts.added or counts.changed or counts.removed):
            return Published(None)
        cursor.execute(_END_ENTRIES, parameters)
        cursor.execute(_ADD_ENTRIES, parameters)
        cursor.execute(_END_VERSION, parameters)
        cursor.execute(_ADD_VERSION, parameters | asdict(counts))
    return Published(current + 1, counts.added, counts.changed, counts.removed)
