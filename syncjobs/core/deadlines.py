"""Decides how long a record may take, and how long it will probably take.

The formula (docs/stuck.md) is a base and so much a file, within bounds. A job whose records have
taken longer is given three times its slowest usual one. The upper bound is absolute: it counts the work
of all attempts, from claim to end; what a record waits in between costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

GROWTH = 3.0
HISTORY_MIN = 3  # fewer records are no history


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    base_s: float = 300
    per_file_s: float = 10
    min_s: float = 300
    max_s: float = 7200


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier record that succeeded: how long it took, and how many files it was to fetch."""

    duration_s: float
    files: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one attempt goes by: the installation's rule, the job's own limit, its latest successful
    records, and what this record's earlier attempts have worked."""

    rule: DeadlineRule
    own_s: float | None = None
    past: Sequence[Past] = ()
    spent_s: float = 0.0

    def deadline_s(self, files: int | None = None, *, looked_s: float = 0.0) -> float:
        return decide_deadline_s(
            self.rule,
            files,
            looked_s=looked_s,
            spent_s=self.spent_s,
            past=self.past,
            own_s=self.own_s,
        )

    def expected_s(self, files: int | None = None) -> float | None:
        return expect_s(self.rule, files, self.past)


def calculated_timeout_s(rule: DeadlineRule, own_s: float | None, files: int | None) -> float:
    """The timeout of a record that no attempt has measured yet; `own_s` is its job's own limit."""
    return own_s if own_s is not None else formula_s(rule, files or 0)


def formula_s(rule: DeadlineRule, files: int) -> float:
    return min(max(rule.base_s + files * rule.per_file_s, rule.min_s), rule.max_s)


def decide_deadline_s(
    rule: DeadlineRule,
    files: int | None,
    *,
    looked_s: float = 0.0,
    spent_s: float = 0.0,
    past: Sequence[Past] = (),
    own_s: float | None = None,
) -> float:
    """Seconds from the attempt's claim.

    `files` is None until the plan is known; `looked_s` is what listing and comparing took, which the
    formula does not speak of; `spent_s` is the work of earlier attempts. A job's own limit `own_s`
    replaces the rule.
    """
    cap_s = own_s if own_s is not None else rule.max_s
    if own_s is None and files is not None:
        cap_s = min(cap_s, max(looked_s + formula_s(rule, files), GROWTH * _slowest_s(past)))
        return max(0.0, min(cap_s, rule.max_s - spent_s))
    return max(0.0, cap_s - spent_s)


def expect_s(rule: DeadlineRule, files: int | None, past: Sequence[Past]) -> float | None:
    """How long the record will probably take: the median of its job's latest successful ones, more
    where it has more files to fetch than they had, but then no more than the formula. None: the job has
    no history, and what it may take says nothing of what it will."""
    if len(past) < HISTORY_MIN:
        return None
    formula = formula_s(rule, files or 0)
    usual_s = median(item.duration_s for item in past)
    usual_files = median(item.files for item in past)
    scaled_s = usual_s * max(1.0, (1 + (files or 0)) / (1 + usual_files))
    return max(usual_s, min(scaled_s, formula))


def _slowest_s(past: Sequence[Past]) -> float:
    """The 95th percentile, by nearest rank; 0 without a history."""
    if len(past) < HISTORY_MIN:
        return 0.0
    durations = sorted(item.duration_s for item in past)
    return durations[math.ceil(0.95 * len(durations)) - 1]
