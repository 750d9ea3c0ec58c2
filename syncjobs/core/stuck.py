"""Decides which running record is stuck, by which rule, and when a sweep must wait.

Every figure is in seconds of the database's clock. A record is judged by the first rule that finds it:
its owner's lease ran out; its work stands still although its owner lives; its time is up; a cancel was
asked and nobody obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from syncjobs.core.states import Stage


class Rule(StrEnum):
    LEASE_EXPIRED = "lease.expired"
    NO_PROGRESS = "stuck.no_progress"
    DEADLINE = "deadline"
    CANCEL_UNANSWERED = "cancel.unanswered"


@dataclass(frozen=True, slots=True)
class Signs:
    """What a running record shows; each figure is an age, None where nothing is known."""

    stage: str
    lease_ran_out_s: float  # negative: so much is left
    heartbeat_s: float  # negative: the clock was set back
    progress_s: float | None
    worked_s: float | None  # since this attempt's claim
    deadline_s: float | None  # of this attempt
    cancel_asked_s: float | None
    patience_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`grace_s` is what the worker has to end an attempt by itself before the reaper does;
    `clock_s`, from where on a heartbeat in the future means that the clock was set back."""

    stall: StallRule
    grace_s: float = 15.0
    cancel_s: float = 6.0
    clock_s: float = 5.0
    lease_grace_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a record is taken back: the rule, what it measured, and its limit."""

    rule: Rule
    seconds: float
    limit_s: float
    words: str


def find_stuck(
    signs: Signs, limits: Limits, rules: Collection[Rule] = tuple(Rule)
) -> Finding | None:
    found = (judge(signs, limits) for rule, judge in _JUDGES.items() if rule in rules)
    return next((finding for finding in found if finding is not None), None)


def _lease(signs: Signs, limits: Limits) -> Finding | None:
    ran_out_s = signs.lease_ran_out_s
    if ran_out_s > limits.lease_grace_s:
        words = f"its lease ran out {ran_out_s:.0f} s ago: its worker died or lost the database"
        return Finding(Rule.LEASE_EXPIRED, ran_out_s, limits.lease_grace_s, words)
    if signs.heartbeat_s < -limits.clock_s:
        words = (
            f"its heartbeat lies {-signs.heartbeat_s:.0f} s in the future: the database's clock was"
            " set back, and its worker has not renewed the lease since"
        )
        return Finding(Rule.LEASE_EXPIRED, -signs.heartbeat_s, limits.clock_s, words)
    return None


def _progress(signs: Signs, limits: Limits) -> Finding | None:
    if signs.progress_s is None:
        return None
    limit_s = limits.stall.limit_s(signs.stage, patience_s=signs.patience_s)
    if signs.progress_s <= limit_s + limits.grace_s:
        return None
    words = (
        f"nothing moved for {signs.progress_s:.0f} s while {stage_words(signs.stage)}"
        f" (limit {limit_s:.0f} s), although its worker lives"
    )
    return Finding(Rule.NO_PROGRESS, signs.progress_s, limit_s, words)


def _deadline(signs: Signs, limits: Limits) -> Finding | None:
    worked_s, deadline_s = signs.worked_s, signs.deadline_s
    if worked_s is None or deadline_s is None or worked_s <= deadline_s + limits.grace_s:
        return None
    words = f"the attempt has worked for {worked_s:.0f} s, {deadline_s:.0f} s were allowed"
    return Finding(Rule.DEADLINE, worked_s, deadline_s, words)


def _cancel(signs: Signs, limits: Limits) -> Finding | None:
    asked_s = signs.cancel_asked_s
    if asked_s is None or asked_s <= limits.cancel_s:
        return None
    words = f"its worker did not answer a cancel for {asked_s:.0f} s"
    return Finding(Rule.CANCEL_UNANSWERED, asked_s, limits.cancel_s, words)


_JUDGES: dict[Rule, Callable[[Signs, Limits], Finding | None]] = {
    Rule.LEASE_EXPIRED: _lease,
    Rule.NO_PROGRESS: _progress,
    Rule.DEADLINE: _deadline,
    Rule.CANCEL_UNANSWERED: _cancel,
}


def stage_words(stage: str) -> str:
    return stage.replace("_", " ") or "starting"


@dataclass(frozen=True, slots=True)
class SweepRule:
    """`gap_s`: a longer time between two sweeps, or a negative one, means that nobody swept, that the
    database was away, or that its clock jumped. Live owners then get `hold_s` to renew their leases."""

    gap_s: float
    hold_s: float


def plan_sweep(*, lease_s: float, heartbeat_s: float, interval_s: float) -> SweepRule:
    """A jump that is shorter than what is left of a healthy lease needs no hold. Where sweeps are
    far apart, only a jump beyond two intervals can be told from their distance."""
    return SweepRule(max(lease_s - heartbeat_s - 1, 2 * interval_s), lease_s)


def decide_hold(rule: SweepRule, last: datetime | None, now: datetime) -> datetime | None:
    """Until when this sweep, and those after it, are to take nothing back; None: go on."""
    if last is None or 0 <= (now - last).total_seconds() <= rule.gap_s:
        return None
    return now + timedelta(seconds=rule.hold_s)


PATIENCE_MARGIN_S = 60.0  # a connector's own clock rings first


@dataclass(frozen=True, slots=True)
class StallRule:
    working_s: float = 600
    publishing_s: float = 1200  # one statement over a million entries, and clearing the source

    def limit_s(self, stage: str, *, patience_s: float = 0.0) -> float:
        """`patience_s`: the silence that a person granted this connector's host."""
        limit_s = self.working_s
        if stage == Stage.FINALIZING:
            limit_s = max(limit_s, self.publishing_s)
        return max(limit_s, patience_s + PATIENCE_MARGIN_S) if patience_s else limit_s
