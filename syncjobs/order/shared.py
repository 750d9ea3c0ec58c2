"""What a job of files and a job of rows both have, and each means in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncjobs.order.option import job_option
from syncjobs.order.timing import SECONDS_MAX

COMPARISON, DELETION = "Comparison", "What goes from the source"


class SyncMode(StrEnum):
    INCREMENTAL = "incremental"  # compare what the listing tells; read rows from the cursor on
    FULL = "full"  # trust none of it: fetch and compare content; read all rows


class OnDelete(StrEnum):
    KEEP_VERSION = "keep_version"  # gone from the new version, kept in the older ones
    IGNORE = "ignore"  # what the source removes stays
    MARK = "mark"  # of rows: the row stays and says since when it is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedOrder:
    sync_mode: SyncMode = job_option(
        "Mode",
        "What a record trusts.",
        default=SyncMode.INCREMENTAL,
        group=COMPARISON,
        words={
            SyncMode.INCREMENTAL: "sizes and times of the listing are compared; rows are read from the cursor's"
            " mark on",
            SyncMode.FULL: "nothing: content is fetched and compared; all rows are read",
        },
    )
    verify_every_s: int | None = job_option(
        "Verify every",
        "When every content was last looked at longer ago than this, the next scheduled record runs as full; of"
        " rows it looks for deleted ones.",
        default=None,
        null="never",
        unit="s",
        least=0,
        most=SECONDS_MAX,
        group=COMPARISON,
        advanced=True,
    )
    on_delete: OnDelete = job_option(
        "When the source deletes",
        "What becomes of a file or a row that the source no longer has.",
        default=OnDelete.KEEP_VERSION,
        group=DELETION,
        words={
            OnDelete.KEEP_VERSION: "gone from the new version, held in the older ones",
            OnDelete.IGNORE: "what the source removes stays",
            OnDelete.MARK: "jobs of rows alone: the row stays, with a time in its column _deleted_at",
        },
    )
