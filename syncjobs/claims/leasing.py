"""Sync records as a leased table: what each heartbeat writes of one, and what its work hears."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from syncjobs.claims.windowing import CALENDARS, find_closed
from syncjobs.leases.leased import Heard, Leased, Told


def _hear(work: Heard, answer: Sequence[Any]) -> None:
    """A cancel that somebody asked for, and a window that has closed or opened again."""
    cancelled, now, calendars = answer
    if cancelled:
        work.ask_to_cancel()
    work.heed_window(find_closed(calendars, now))


RECORDS = Leased(
    table="syncjobs_syncrecord",
    told=(
        Told("stage", "text", attrgetter("stage")),
        Told("percentage", "float", attrgetter("percentage")),
        Told("current_file_index", "bigint", attrgetter("current_file_index")),
        Told("total_files", "bigint", attrgetter("total_files")),
        Told("bytes_transferred", "bigint", attrgetter("bytes_transferred")),
        Told("files_failed", "bigint", attrgetter("files_failed")),
        Told("files_skipped", "bigint", attrgetter("files_skipped")),
        Told("files_deferred", "bigint", attrgetter("files_deferred")),
        Told("deadline_s", "float", attrgetter("deadline_s")),
        Told("expected_duration_s", "float", attrgetter("expected_s")),
    ),
    unwritten=(Told("kept", "bigint", attrgetter("kept_files")),),
    writes=(
        "heartbeat_at = now()",
        "progress_at = now() - make_interval(secs => b.silent_s)",
        # Work that got further did not cost its worker's life for nothing.
        "crash_count = CASE WHEN b.kept > 0 THEN 0 ELSE r.crash_count END",
    ),
    asks=("r.cancel_asked_at IS NOT NULL", "now()", CALENDARS),
    joins="JOIN syncjobs_syncjob j ON j.id = r.job_id JOIN workspaces_workspace w ON w.id = r.workspace_id",
    hear=_hear,
)
