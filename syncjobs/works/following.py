"""A new version of a dataset makes the jobs due that read it."""

from __future__ import annotations

import uuid

from database.rows import Cursor

# By the clock: a publication may take longer than a fire may be late.
_WAKE = """
UPDATE syncjobs_syncjob SET next_run_at = clock_timestamp()
 WHERE source_dataset_id = %s AND enabled AND paused_at IS NULL AND schedule = '{}'
"""


def wake_readers(cursor: Cursor, dataset_id: uuid.UUID) -> None:
    """Call it in the transaction that publishes. Jobs with a schedule of their own wait for that."""
    cursor.execute(_WAKE, [dataset_id])
