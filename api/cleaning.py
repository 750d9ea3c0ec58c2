"""`POST /api/v1/sync/cleanup` takes back what is stuck in the workspace, now."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from api.callers import OPERATOR, WorkspaceIn, caller_of
from api.records import REFUSALS
from syncjobs.claims.reaping import clean_up
from syncjobs.core.stuck import Rule

router = Router(tags=["sync operations"])


class StuckOut(Schema):
    id: uuid.UUID = Field(description="The record's.")
    rule: Rule
    reason: str


class CleanUpOut(Schema):
    cleaned_up: int
    by_rule: dict[Rule, int]
    records: list[StuckOut]


@router.post("/cleanup", response={200: CleanUpOut, **REFUSALS}, auth=OPERATOR)
def clean_up_stuck(request: HttpRequest, workspace: WorkspaceIn = None) -> dict[str, Any]:
    """Takes back what is stuck: the count, the count by rule, and each record with its reason."""
    caller = caller_of(request)
    done = clean_up(by=caller.name, workspace_ids=[caller.workspace.pk])
    return {
        "cleaned_up": done.count,
        "by_rule": done.by_rule,
        "records": [
            {"id": one.record_id, "rule": one.finding.rule, "reason": one.finding.words}
            for one in done.records
        ],
    }
