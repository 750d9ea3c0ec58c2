"""A standing order: which connector, what, when, under which limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from syncjobs.order.files import COMPARISON, FileOrder
from syncjobs.order.option import Option, job_option, options_of
from syncjobs.order.timing import GROUP as SCHEDULE
from syncjobs.order.timing import SECONDS_MAX, Timing

TRIES_GROUP = "Tries"
SMALL_MAX = 32_767


class SyncMode(StrEnum):
    INCREMENTAL = "incremental"  # compare what the listing tells
    FULL = "full"  # trust none of it: fetch and compare content


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How long and how often a record is tried, and when a job gives up."""

    timeout_s: int | None = job_option(
        "Time limit",
        "For one attempt.",
        default=None,
        null="by the number of files (docs/stuck.md)",
        unit="s",
        least=1,
        most=SECONDS_MAX,
        group=TRIES_GROUP,
        within="limits",
    )
    max_attempts: int = job_option(
        "Tries",
        "So many in a row that kept nothing, before a record fails for good.",
        default=3,
        unit="tries",
        least=1,
        most=SMALL_MAX,
        group=TRIES_GROUP,
        settings="MAX_RETRIES + 1",
    )
    pause_after_failures: int | None = job_option(
        "Pause after",
        "So many records in a row that failed for good pause the job.",
        default=5,
        null="never",
        unit="records",
        least=1,
        most=SMALL_MAX,
        group=TRIES_GROUP,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """The definition of a job: all that a person says about it. `work` is the part that its kind of work has alone."""

    name: str = job_option("Name", "Unique in its workspace.", most=100)
    connector: str = job_option(
        "Connector", "The name of the far end that it copies from.", attribute="connector.name"
    )
    enabled: bool = job_option("Enabled", "A disabled job runs by hand only.", default=True)
    timing: Timing
    work: FileOrder
    sync_mode: SyncMode = job_option(
        "Mode",
        "What a record trusts.",
        default=SyncMode.INCREMENTAL,
        group=COMPARISON,
        words={
            SyncMode.INCREMENTAL: "sizes and times of the listing are compared",
            SyncMode.FULL: "nothing: content is fetched and compared",
        },
    )
    tries: Tries


OPTIONS: dict[str, Option] = {each.name: each for each in options_of(JobOrder)}
# They name the job and its far end; all others have values of their own, and a column each.
IDENTITY = tuple(name for name, each in OPTIONS.items() if each.required)
# The mappings of the written form that options stand in.
WITHIN = tuple(dict.fromkeys(each.about.within for each in OPTIONS.values() if each.about.within))
GROUPS = (
    "",
    SCHEDULE,
    *dict.fromkeys(each.about.group for each in options_of(FileOrder)),
    TRIES_GROUP,
)
