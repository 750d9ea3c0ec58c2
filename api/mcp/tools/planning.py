"""Tools that change something: the first call is answered with a plan, and the second one, which brings the plan's token
back, acts.

Where the client can ask its user, the user is asked in place of the second call. The question's state comes back through
the client, so it is signed, and its token serves no call of the program itself. In both ways the act, the use of the
token and the entry of the audit trail are one transaction.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.conf import settings
from django.core import signing
from django.db import transaction

from api.mcp.call import Call
from api.mcp.eras import client_capabilities
from api.mcp.tools.tool import Intent, Planned, Tool, ToolFailed
from workspaces import auditing
from workspaces.models import PlanOutcome
from workspaces.plans import (
    PlanFault,
    PlannedCall,
    PlanRefused,
    find_budget_wait_s,
    make_plan_token,
    use_plan,
)

KEY, ANSWER = "go", "go"  # of the question, and of the field that answers it
_BUDGET_USED = "budget_used"
_SALT = "api.mcp.question"
_NO = "The user said no: nothing was done."
_NO_ANSWER = (
    f"The answer has no `{ANSWER}` that is true or false, which counts as a no: nothing was done."
)
_ASK_AGAIN = {
    PlanFault.UNKNOWN: "This requestState is none of ours: call without it.",
    PlanFault.DIFFERS: "This requestState was given for another call: call without it.",
    PlanFault.USED: "This question was answered already, and an answer holds once: call without requestState.",
    PlanFault.EXPIRED: "The answer came after the question had expired: call without requestState.",
}


@dataclass(frozen=True, slots=True)
class UserQuestion:
    """What the user is asked before anything is done."""

    words: str
    state: str

    def as_body(self) -> dict[str, Any]:
        """As a result of type `input_required`."""
        field = {
            "type": "boolean",
            "title": "Go ahead",
            "description": "Yes: it is done now. No: nothing is changed.",
        }
        asked = {"type": "object", "properties": {ANSWER: field}, "required": [ANSWER]}
        params = {"mode": "form", "message": self.words, "requestedSchema": asked}
        return {
            "inputRequests": {KEY: {"method": "elicitation/create", "params": params}},
            "requestState": self.state,
        }


def run_planned(call: Call, tool: Tool, given: Planned) -> dict[str, Any] | UserQuestion:
    """What the tool answers when it has acted, a plan, or a question to the user. Raises ToolFailed, Refused."""
    intent = given.plan(call.caller)
    planned = PlannedCall(call.caller.token, tool.name, _digest(given, intent))
    if given.plan_token is not None:
        return _act(tool, intent, planned, given.plan_token)
    if not _can_be_asked(call):
        token, expires_at = make_plan_token(planned)
        return {
            "state": "planned",
            "effects": list(intent.effects),
            "plan_token": token,
            "expires_at": expires_at,
        }
    return _go_by_answer(call, tool, intent, replace(planned, is_question=True))


def _go_by_answer(
    call: Call, tool: Tool, intent: Intent, planned: PlannedCall
) -> dict[str, Any] | UserQuestion:
    state, response = call.message.params.get("requestState"), _find_response(call)
    if state is None or response is None:
        return _ask(intent, planned)
    token, answer = _read_state(state), _read_answer(response)
    if answer:
        return _act(tool, intent, planned, token)
    with _refusals_audited(intent, planned), transaction.atomic():
        use_plan(token, planned, PlanOutcome.DECLINED)
    raise ToolFailed("declined", _NO_ANSWER if answer is None else _NO)


def _ask(intent: Intent, planned: PlannedCall) -> UserQuestion:
    token, _ = make_plan_token(planned)
    return UserQuestion("\n".join(intent.effects), signing.dumps(token, salt=_SALT))


def _act(tool: Tool, intent: Intent, planned: PlannedCall, token: str) -> dict[str, Any]:
    with _refusals_audited(intent, planned), transaction.atomic():
        most = settings.SYNC.mcp_starts_per_hour
        wait_s = find_budget_wait_s(planned.holder, tool.name, most) if tool.starts else None
        use_plan(token, planned)
        if wait_s is not None:
            raise _budget_used(most, wait_s)
        told = intent.act()
        record = told.get("record")
        changes = {} if record is None else {"record": [None, str(record["id"])]}
        auditing.note(intent.subject, tool.name, changes)
        return told


def _budget_used(most: int, wait_s: float) -> ToolFailed:
    if not most:
        words = "No token may start syncs here (MCP_STARTS_PER_HOUR is 0): ask a person."
        return ToolFailed(_BUDGET_USED, words)
    words = f"This token has started {most} syncs within an hour, the most that it may: wait, or ask a person."
    return ToolFailed(_BUDGET_USED, words, retry_after_s=math.ceil(wait_s))


@contextmanager
def _refusals_audited(intent: Intent, planned: PlannedCall) -> Iterator[None]:
    """Around the transaction, which is rolled back by then. Raises ToolFailed for a plan that cannot be used."""
    try:
        yield
    except PlanRefused as exc:
        words = _ASK_AGAIN[exc.fault] if planned.is_question else str(exc)
        failed = ToolFailed(exc.fault, words)
        _note_refusal(intent, planned, failed)
        raise failed from None
    except ToolFailed as exc:
        if exc.code == _BUDGET_USED:
            _note_refusal(intent, planned, exc)
        raise


def _note_refusal(intent: Intent, planned: PlannedCall, failed: ToolFailed) -> None:
    changes = {"tool": [None, planned.tool], "code": [None, failed.code]}
    auditing.note(intent.subject, "plan_refused", changes)


def _digest(given: Planned, intent: Intent) -> str:
    """Of the arguments, however they were written, and of what they name now."""
    fields = {
        name: value for name, value in msgspec.structs.asdict(given).items() if name != "plan_token"
    }
    subject = f"{intent.subject._meta.label} {intent.subject.pk}"
    return hashlib.sha256(json.dumps([fields, subject], sort_keys=True).encode()).hexdigest()


def _can_be_asked(call: Call) -> bool:
    """Whether the client says that it puts questions to its user, as forms."""
    if not call.is_modern:
        return False
    told = client_capabilities(call.message).get("elicitation")
    return isinstance(told, dict) and (not told or "form" in told)


def _find_response(call: Call) -> dict[str, Any] | None:
    responses = call.message.params.get("inputResponses")
    response = responses.get(KEY) if isinstance(responses, dict) else None
    return response if isinstance(response, dict) else None


def _read_answer(response: dict[str, Any]) -> bool | None:
    """None: it says neither yes nor no. That is no consent, and a client that answers so would do it again."""
    if response.get("action") in ("decline", "cancel"):
        return False
    content = response.get("content")
    said = content.get(ANSWER) if isinstance(content, dict) else None
    return said if response.get("action") == "accept" and isinstance(said, bool) else None


def _read_state(state: Any) -> str:
    """The question's token. A state that we did not sign gives a token that nobody has."""
    try:
        return str(signing.loads(state, salt=_SALT)) if isinstance(state, str) else ""
    except signing.BadSignature:
        return ""
