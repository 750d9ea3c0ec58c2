"""`POST /api/v1/sync/cleanup`: what is stuck in the token's workspace is taken back now (seed document 003)."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from api.answers import Refused, problem
from api.callers import need_token
from syncjobs.lifecycle.reaping import clean_up
from workspaces.models import Role


@csrf_exempt  # a token, and no cookie, says who asks
@require_POST
def clean_up_stuck(request: HttpRequest) -> JsonResponse:
    """The count, the count by rule, and each record with its reason."""
    try:
        token = need_token(request, Role.OPERATOR)
    except Refused as refused:
        return problem(refused)
    done = clean_up(by=f"token {token.name}", workspace_ids=[token.workspace_id])
    return JsonResponse(
        {
            "cleaned_up": done.count,
            "by_rule": done.by_rule,
            "records": [
                {
                    "id": str(stuck.record_id),
                    "rule": stuck.finding.rule.value,
                    "reason": stuck.finding.words,
                }
                for stuck in done.records
            ],
        }
    )
