"""Sync records as a leased table: what each heartbeat writes of one, and what its work hears."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from syncjobs.claims.windowing import CALENDARS, find_closed
from syncjobs.leases.leased import Heard, Leased, ToldColumn


@dataclass(frozen=True, slots=True)
class _Answer:
    is_cancelled: bool
    now: datetime
    calendars: str | None


def _hear(work: Heard, answer: _Answer) -> None:
    """Tells the work of a cancel that somebody asked for, and of a window that has closed or opened again."""
    if answer.is_cancelled:
        work.ask_to_cancel()
    work.obey_window(find_closed(answer.calendars, answer.now))


RECORDS = Leased(
    table="syncjobs_syncrecord",
    told=(
        ToldColumn("stage", "text", attrgetter("stage")),
        ToldColumn("percentage", "float", attrgetter("percentage")),
        ToldColumn("current_file_index", "bigint", attrgetter("current_file_index")),
        ToldColumn("total_files", "bigint", attrgetter("total_files")),
        ToldColumn("bytes_transferred", "bigint", attrgetter("bytes_transferred")),
        ToldColumn("total_bytes", "bigint", attrgetter("total_bytes")),
        ToldColumn("bytes_done", "bigint", attrgetter("bytes_done")),
        ToldColumn("bytes_per_s", "bigint", attrgetter("bytes_per_s")),
        ToldColumn("files_failed", "bigint", attrgetter("files_failed")),
        ToldColumn("files_skipped", "bigint", attrgetter("files_skipped")),
        ToldColumn("files_deferred", "bigint", attrgetter("files_deferred")),
        ToldColumn("deadline_s", "float", attrgetter("deadline_s")),
        ToldColumn("expected_duration_s", "float", attrgetter("expected_s")),
    ),
    unwritten=(
        ToldColumn("kept", "bigint", attrgetter("kept_files")),
        ToldColumn("rows", "bigint", attrgetter("rows_read")),
        # Not among what is last known at the attempt's end: from there the queue says what it waits for.
        ToldColumn("waits_for", "text", attrgetter("waiting_for")),
    ),
    writes=(
        "waiting_for = b.waits_for",
        "rows_read = coalesce(b.rows, r.rows_read)",
        "heartbeat_at = now()",
        "progress_at = now() - make_interval(secs => b.silent_s)",
        # Work that got further did not cost its worker's life for nothing.
        "crash_count = CASE WHEN b.kept > 0 THEN 0 ELSE r.crash_count END",
    ),
    asks=(
        "r.cancel_asked_at IS NOT NULL AS is_cancelled",
        "now() AS now",
        f"{CALENDARS} AS calendars",
    ),
    joins="JOIN syncjobs_syncjob j ON j.id = r.job_id JOIN workspaces_workspace w ON w.id = r.workspace_id",
    answer=_Answer,
    hear=_hear,
)
