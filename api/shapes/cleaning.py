"""What was taken back, as JSON."""

from __future__ import annotations

import uuid

from pydantic import Field

from api.shapes.answers import Told
from syncjobs.core.stuck import Rule


class StuckOut(Told):
    id: uuid.UUID = Field(description="The record's.")
    rule: Rule
    reason: str


class CleanUpOut(Told):
    cleaned_up: int
    by_rule: dict[Rule, int]
    records: list[StuckOut]
