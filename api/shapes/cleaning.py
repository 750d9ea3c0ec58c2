"""What was taken back, as JSON."""

from __future__ import annotations

import uuid

from pydantic import Field

from api.shapes.answers import Told
from syncjobs.claims.reaping import CleanUp
from syncjobs.core.stuck import Rule


class StuckOut(Told):
    id: uuid.UUID = Field(description="The record's.")
    rule: Rule
    reason: str


class CleanUpOut(Told):
    cleaned_up: int
    by_rule: dict[Rule, int]
    records: list[StuckOut]


def tell_cleanup(done: CleanUp) -> CleanUpOut:
    return CleanUpOut(
        cleaned_up=done.count,
        by_rule={Rule(rule): count for rule, count in done.by_rule.items()},
        records=[
            StuckOut(id=one.record_id, rule=one.finding.rule, reason=one.finding.words)
            for one in done.records
        ],
    )
