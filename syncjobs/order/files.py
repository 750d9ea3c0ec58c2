"""What belongs to a job of files alone: which files, what makes one changed, what becomes of those that go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from farends.errors import UnsafeName
from farends.names import join
from search.core.wishes import IndexWish
from syncjobs.core.comparing import Comparison
from syncjobs.core.markers import parse_done_pattern
from syncjobs.core.patterns import parse_pattern
from syncjobs.core.selection import check_filter
from syncjobs.order.option import job_option
from syncjobs.order.shared import COMPARISON, DELETION, OnDelete, SharedOrder
from syncjobs.order.timing import SECONDS_MAX

FILES, SEARCH, TREE = "Files", "Search", "Plain tree"
BIGINT_MAX = 9_223_372_036_854_775_807
_ONLY_MOVE = "move_to belongs to after_publish: move."


class AfterPublish(StrEnum):
    """What becomes of a file at the source when a published version holds it."""

    KEEP = "keep"
    DELETE = "delete"
    MOVE = "move"  # to `move_to`, below the root


def _check_patterns(patterns: Sequence[str]) -> None:
    for pattern in patterns:
        parse_pattern(pattern)


def _check_filters(rules: Sequence[str]) -> None:
    for rule in rules:
        check_filter(rule)


def _check_done_pattern(text: str) -> None:
    if text:
        parse_done_pattern(text)


def _check_folder(text: str) -> None:
    if not text:
        return
    folder = ""
    try:
        for name in text.split("/"):
            folder = join(folder, name)
    except UnsafeName:
        raise ValueError(
            "must be a folder below the root, such as done or archive/2026: without '..', and"
            " without a slash at its ends"
        ) from None
    if not text.isprintable():
        raise ValueError("holds characters that cannot be shown")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSelection:
    """Which of the listed files the job takes, and how many of them at once."""

    include: tuple[str, ...] = job_option(
        "Include",
        "Patterns such as **/*.csv. Empty: every file.",
        default=(),
        group=FILES,
        check=_check_patterns,
    )
    exclude: tuple[str, ...] = job_option(
        "Exclude",
        "Patterns such as **/drafts/**. They win over include.",
        default=(),
        group=FILES,
        check=_check_patterns,
    )
    max_file_size_bytes: int | None = job_option(
        "Largest file",
        "Larger files are skipped.",
        default=None,
        null="MAX_FILE_SIZE_MB, or else no limit",
        unit="bytes",
        least=1,
        most=BIGINT_MAX,
        group=FILES,
        within="limits",
    )
    filters: tuple[str, ...] = job_option(
        "Filters, in order",
        "'+ pattern' takes, '- pattern' leaves out; the first that matches decides, before include and exclude.",
        default=(),
        group=FILES,
        check=_check_filters,
        advanced=True,
    )
    extensions: tuple[str, ...] = job_option(
        "Extensions",
        "Such as .csv. Empty: every one, or SUPPORTED_EXTENSIONS where include and filters are empty too.",
        default=(),
        most=40,
        group=FILES,
    )
    max_age_s: int | None = job_option(
        "Oldest file",
        "Older files are left out.",
        default=None,
        null="no limit",
        unit="s",
        least=0,
        most=SECONDS_MAX,
        group=FILES,
        within="limits",
        advanced=True,
    )
    settle_s: int = job_option(
        "Settling time",
        "Files that changed less long ago wait for a later record.",
        default=0,
        unit="s",
        least=0,
        most=SECONDS_MAX,
        group=FILES,
        advanced=True,
    )
    done_pattern: str = job_option(
        "Done file",
        "Such as {name}.done, {stem}.ok, or _SUCCESS for a whole folder: a file is taken only when this one is"
        " there too. Done files themselves are not kept.",
        default="",
        most=100,
        group=FILES,
        check=_check_done_pattern,
        advanced=True,
    )
    max_files: int | None = job_option(
        "Files a record",
        "What one record fetches at most; the rest waits for the next.",
        default=None,
        null="no limit",
        unit="files",
        least=1,
        most=BIGINT_MAX,
        group=FILES,
        within="limits",
        advanced=True,
    )
    max_bytes: int | None = job_option(
        "Bytes a record",
        "What one record fetches at most; the rest waits for the next.",
        default=None,
        null="no limit",
        unit="bytes",
        least=1,
        most=BIGINT_MAX,
        group=FILES,
        within="limits",
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileComparison:
    """What makes a file count as unchanged."""

    comparison: Comparison = job_option(
        "Comparison",
        "What has to be equal for a file to count as the held one.",
        default=Comparison.MODIFIED,
        group=COMPARISON,
        words={
            Comparison.MODIFIED: "size and time, or a strong ETag",
            Comparison.CHECKSUM: "SHA-256, as the host computes it or of the bytes that it sends",
            Comparison.SIZE: "size alone",
            Comparison.ETAG: "a strong ETag; a file without one is fetched",
        },
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDeletion:
    """What becomes of files at the source that the job has copied."""

    after_publish: AfterPublish = job_option(
        "At the source, once published",
        "Delete and move take away every selected file that a published version holds, those of earlier versions"
        " too; they need on_delete: ignore.",
        default=AfterPublish.KEEP,
        group=DELETION,
        words={
            AfterPublish.KEEP: "the source is left alone",
            AfterPublish.DELETE: "is deleted",
            AfterPublish.MOVE: "is moved",
        },
    )
    move_to: str = job_option(
        "Move to",
        "A folder below the connector's folder, such as done. It is not listed.",
        default="",
        most=500,
        group=DELETION,
        only_with=("after_publish", "move"),
        check=_check_folder,
    )

    def find_conflicts(self, on_delete: OnDelete) -> dict[str, str]:
        if self.after_publish == AfterPublish.KEEP:
            return {"move_to": _ONLY_MOVE} if self.move_to else {}
        found = {}
        if on_delete != OnDelete.IGNORE:
            found["on_delete"] = (
                f"after_publish: {self.after_publish} takes files away at the source, and the next sync"
                " would remove them from the dataset: it goes with on_delete: ignore."
            )
        if self.after_publish == AfterPublish.MOVE and not self.move_to:
            found["move_to"] = "Say which folder below the root files are moved to."
        if self.after_publish == AfterPublish.DELETE and self.move_to:
            found["move_to"] = _ONLY_MOVE
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSearch:
    """How the files of the job can be found by what stands in them."""

    index: IndexWish = job_option(
        "Search",
        "What of the dataset's files people and agents can search.",
        default=IndexWish.WORDS_AND_MEANING,
        group=SEARCH,
        words={
            IndexWish.WORDS_AND_MEANING: "words, and what a text means",
            IndexWish.WORDS: "words alone: no model is asked",
            IndexWish.OFF: "nothing; an index that is there is deleted",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTree:
    """Where the current files lie as plain files, for whoever looks for them there."""

    current_tree: str = job_option(
        "Current tree",
        "A folder below TREE_ROOT, such as reports/nightly, that is brought to each published version: only what"
        " differs is written, and what goes from the dataset goes from there.",
        default="",
        most=500,
        group=TREE,
        check=_check_folder,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOrder:
    """The part of an order that only a job of files has."""

    selection: FileSelection
    comparison: FileComparison
    deletion: FileDeletion
    search: FileSearch
    tree: FileTree

    def find_conflicts(self, shared: SharedOrder) -> dict[str, str]:
        """Options that do not go together, each with what is wrong."""
        found = self.deletion.find_conflicts(shared.on_delete)
        if shared.on_delete == OnDelete.MARK:
            found["on_delete"] = "mark is for jobs of rows: a file has no column to say it in"
        parted = self.selection.max_files or self.selection.max_bytes
        if shared.verify_every_s and parted:
            found["verify_every_s"] = (
                "a record that may fetch a part only can verify no whole: leave this out, or"
                " max_files and max_bytes"
            )
        return found
