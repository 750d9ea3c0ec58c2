"""`POST /api/v1/sync/cleanup` takes back what is stuck in the workspace, now."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from api.rest.answers import REFUSALS
from api.rest.callers import OPERATOR, WorkspaceAsked, caller_of
from api.shapes.cleaning import CleanUpOut, tell_cleanup
from syncjobs.claims.reaping import clean_up

router = Router(tags=["sync operations"])


@router.post("/cleanup", response={200: CleanUpOut, **REFUSALS}, auth=OPERATOR)
def clean_up_stuck(request: HttpRequest, workspace: WorkspaceAsked = None) -> CleanUpOut:
    """Takes back what is stuck: the count, the count by rule, and each record with its reason."""
    caller = caller_of(request)
    done = clean_up(by=caller.name, workspace_ids=[caller.workspace.pk])
    return tell_cleanup(done)
