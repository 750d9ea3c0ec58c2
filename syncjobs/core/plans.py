"""What a sync would do, counted, and the guards that may stop it."""

from __future__ import annotations

from dataclasses import dataclass

REMOVED_SHARE_MAX = 0.10
REMOVED_COUNT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts of entries by what would become of them; `wanted` are to be fetched."""

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
    """A guard's verdict: the rule and what a person should know before releasing the record."""

    rule: str
    reason: str
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Waiver:
    """What a person released: this rule, up to so many removals. A source that has lost more since
    is held again."""

    rule: str
    removed: int

    def covers(self, held: Held) -> bool:
        return held.rule == self.rule and held.removed <= self.removed


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person approves with a plan. It is applied only where all of it still holds.

    `digest` is one value for what would be done with which file; `version` the dataset's when the plan
    was made; `afterwards` what becomes of published files at the source.
    """

    digest: str
    version: int | None
    afterwards: str


def judge(plan: Plan, *, listing_complete: bool, removals_apply: bool) -> Held | None:
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
    return None
