"""How long a record may take: a base, so much a file, within bounds (seed document 003)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    base_s: float = 300
    per_file_s: float = 10
    min_s: float = 300
    max_s: float = 7200


def decide_deadline_s(rule: DeadlineRule, files: int, *, cap_s: float | None = None) -> float:
    """Seconds from the attempt's start; a job's own limit `cap_s` replaces the rule."""
    if cap_s is not None:
        return cap_s
    return min(max(rule.base_s + files * rule.per_file_s, rule.min_s), rule.max_s)
