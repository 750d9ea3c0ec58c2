"""Counts what a sync would do, and holds the guards that may stop it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

REMOVED_SHARE_MAX = 0.10
REMOVED_COUNT_MAX = 1_000
REPLACED_MIN = 5  # fewer files that become one are no sign of anything


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of entries by what the sync would do with them; `wanted` counts the files to fetch."""

    listed: int
    held: int
    added: int
    changed: int
    removed: int
    unchanged: int
    wanted: int
    wanted_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """A guard's verdict: the rule, what a person should know before releasing the record, and how
    many files would be removed or replaced."""

    rule: str
    reason: str
    files: int = 0


@dataclass(frozen=True, slots=True)
class Waiver:
    """What a person released: this rule, up to so many files. A source that has lost more since is
    held again."""

    rule: str
    files: int

    def covers(self, held: Held) -> bool:
        return held.rule == self.rule and held.files <= self.files


@dataclass(frozen=True, slots=True)
class RoundFolder:
    """A folder whose listing has a round number of rows, and how many of its files the plan removes."""

    path: str
    rows: int
    removed: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person approves with a plan. It is applied only where all of it still holds.

    `digest` is one value for what would be done with which file; `version` the dataset's when the plan
    was made; `afterwards` what becomes of published files at the source.
    """

    digest: str
    version: int | None
    afterwards: str


def judge(
    plan: Plan,
    *,
    listing_complete: bool,
    removals_apply: bool,
    round_folders: Iterable[RoundFolder] = (),
) -> Held | None:
    """The guard that stops this plan, or None.

    After any listing error nothing is removed, so there is nothing to guard; likewise where the job
    ignores removals.
    """
    if not listing_complete or not removals_apply or plan.removed == 0:
        return None
    if plan.listed == 0:
        return Held(
            "empty_listing",
            f"the source lists no files, the dataset holds {plan.held}: an emptied or unmounted"
            " folder looks like this",
            plan.removed,
        )
    if plan.removed > REMOVED_COUNT_MAX:
        return Held(
            "mass_removal",
            f"{plan.removed} of {plan.held} files would be removed, more than {REMOVED_COUNT_MAX}",
            plan.removed,
        )
    if plan.removed > plan.held * REMOVED_SHARE_MAX:
        return Held(
            "mass_removal",
            f"{plan.removed} of {plan.held} files would be removed, more than"
            f" {REMOVED_SHARE_MAX:.0%}",
            plan.removed,
        )
    for folder in round_folders:
        if folder.removed:
            return Held(
                "round_listing",
                f"the host lists exactly {folder.rows} names in {folder.path or 'the root folder'}, and"
                f" {folder.removed} files held there are not among them: a host that cuts a listing"
                " silently looks like this",
                plan.removed,
            )
    return None


def judge_replacement(listed: int, what: str, shown: str, files: int, example: str) -> Held | None:
    """The guard that stops many of the `listed` files from becoming one thing, or None.

    `what` is `redirect`, `type` or `content`, `shown` which address or type, `example` one of the files.
    Files that all redirect to one page are a log-in or an error, however many others there are.
    """
    enough = files > min(listed * REMOVED_SHARE_MAX, REMOVED_COUNT_MAX)
    if files < REPLACED_MIN or not (enough or what == "redirect"):
        return None
    ways = {
        "redirect": f"{files} files are all answered from {shown}",
        "type": f"{files} files are all answered as {shown}, which they were not before or by name",
        "content": f"{files} files that differed would all have one content",
    }
    reason = (
        f"{ways[what]}, among them {example}: a log-in or an error page in the place of files looks"
        " like this"
    )
    return Held("mass_replacement", reason, files)
