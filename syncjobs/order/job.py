"""A standing order: which connector, what, when, under which limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from syncjobs.order.files import FILES, SEARCH, TREE, FileOrder
from syncjobs.order.option import Form, Option, job_option, options_of
from syncjobs.order.rows import DESTINATION, RISKS, ROWS, RowOrder
from syncjobs.order.shared import COMPARISON, DELETION, KEEPING, SharedOrder
from syncjobs.order.structures import KnownWords, Words, text_or
from syncjobs.order.timing import GROUP as SCHEDULE
from syncjobs.order.timing import SECONDS_MAX, Timing

TRIES_GROUP = "Tries"
SMALL_MAX = 32_767


TAGS_MAX = 20


def _check_tags(tags: Sequence[str]) -> None:
    if len(tags) > TAGS_MAX:
        raise ValueError(f"must be at most {TAGS_MAX} tags")
    if "" in tags or len(set(tags)) < len(tags):
        raise ValueError("must be words that differ from each other, none of them empty")


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
        advanced=True,
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
        advanced=True,
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
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """The definition of a job: all that a person says about it. A job is of files or of rows, and has the options of
    the other kind of work without effect: no surface shows or takes them."""

    name: str = job_option("Name", "Unique in its workspace.", most=100)
    connector: Any = job_option(
        "Connector",
        "The name of the far end that it copies from. {dataset: NAME}: it reads the files of that dataset as rows, each"
        " time that these have a new version, unless it has a schedule.",
        attribute="written_source",
        form=Form.STRUCTURE,
        structure=text_or(
            KnownWords({"dataset": Words(most=100)}, needs=("dataset",)), Words(most=100)
        ),
    )
    enabled: bool = job_option("Enabled", "A disabled job runs by hand only.", default=True)
    tags: tuple[str, ...] = job_option(
        "Tags", "Words that jobs share. An alert rule can look at the jobs with one.", default=(),
        most=100, check=_check_tags,
    )  # fmt: skip
    timing: Timing
    shared: SharedOrder
    files: FileOrder
    rows: RowOrder
    tries: Tries


OPTIONS: dict[str, Option] = {each.name: each for each in options_of(JobOrder)}
# They name the job and its far end; all others have values of their own, and a column each.
IDENTITY = tuple(name for name, each in OPTIONS.items() if each.required)
# The mappings of the written form that options stand in.
WITHIN = tuple(dict.fromkeys(each.about.within for each in OPTIONS.values() if each.about.within))
GROUPS = (
    "", SCHEDULE, FILES, ROWS, COMPARISON, DELETION, KEEPING, SEARCH, TREE, RISKS, DESTINATION, TRIES_GROUP,
)  # fmt: skip
# What a kind of work has alone, by `Spec.far_end`.
WORK_ORDERS: dict[str, type] = {"files": FileOrder, "rows": RowOrder}
_WORK_OF = {each.name: work for work, order in WORK_ORDERS.items() for each in options_of(order)}


def find_work_of(option: str) -> str | None:
    """The kind of work whose jobs alone have the option; None: all jobs have it."""
    return _WORK_OF.get(option)


def belongs_to(option: str, far_end: str) -> bool:
    """Whether a job that syncs from such a far end has the option."""
    return _WORK_OF.get(option, far_end) == far_end
