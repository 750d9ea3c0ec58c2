"""What a job of files and a job of rows both have, and each means in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncjobs.order.option import job_option
from syncjobs.order.timing import SECONDS_MAX

COMPARISON, DELETION = "Comparison", "What goes from the source"
KEEPING = "How long versions are kept"
VERSIONS_MAX, DAYS_MAX, BYTES_MAX = 2_147_483_647, 36_500, 9_223_372_036_854_775_807
_AS_WORKSPACE = "as the workspace says"


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
    keep_versions: int | None = job_option(
        "Keep versions",
        "So many of the newest versions of its dataset are kept; 0: every version. The current one and the one before"
        " it always are. Where one of these three options is set, the workspace's do not count.",
        default=None,
        null=_AS_WORKSPACE,
        unit="versions",
        least=0,
        most=VERSIONS_MAX,
        group=KEEPING,
        advanced=True,
    )
    keep_days: int | None = job_option(
        "Keep for",
        "A version is kept for so many days after a newer one took its place.",
        default=None,
        null=_AS_WORKSPACE,
        unit="days",
        least=1,
        most=DAYS_MAX,
        group=KEEPING,
        advanced=True,
    )
    keep_bytes: int | None = job_option(
        "Keep as long as they need",
        "The newest versions are kept for which what only older versions need is no larger than this.",
        default=None,
        null=_AS_WORKSPACE,
        unit="bytes",
        least=1,
        most=BYTES_MAX,
        group=KEEPING,
        advanced=True,
    )
