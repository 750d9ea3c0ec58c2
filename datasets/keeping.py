"""What a dataset keeps, and what of it only older versions need."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from database.rows import fetch_rows
from datasets.models import Dataset

# Contents are counted once, however many paths and versions name them. What another dataset of the workspace names too
# would not be freed; that is not looked for.
_SQL = """
WITH kept AS (SELECT number FROM datasets_version WHERE dataset_id = %(dataset)s AND expired_at IS NULL),
named AS (
    SELECT sha256, max(size_bytes) AS size_bytes, bool_or(until IS NULL) AS is_current
      FROM datasets_entry
     WHERE dataset_id = %(dataset)s AND (until IS NULL OR until > (SELECT min(number) FROM kept)) GROUP BY sha256)
SELECT (SELECT count(*) FROM kept) AS version_count,
       coalesce(sum(size_bytes) FILTER (WHERE is_current), 0)::bigint AS current_bytes,
       coalesce(sum(size_bytes) FILTER (WHERE NOT is_current), 0)::bigint AS older_bytes,
       count(*) FILTER (WHERE NOT is_current) AS older_contents
  FROM named
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes of contents: `current_bytes` those of the current version, `older_bytes` those that only older ones name."""

    version_count: int
    current_bytes: int
    older_bytes: int
    older_contents: int


def measure_kept(dataset: Dataset) -> Kept:
    """Reads every entry of the dataset."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL, {"dataset": dataset.pk})
        [kept] = fetch_rows(cursor, Kept)
    return kept
