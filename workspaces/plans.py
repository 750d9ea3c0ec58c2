"""Plans of programs: a call that changes something is told first and done when it comes a second time.

The first call leaves a row here and gets a token. The second one brings the token back, and uses the row in the
transaction that acts: so it acts once, whoever sends it twice, and what fails leaves the token usable. A plan is bound to
the program's token, to the tool, and to a digest of the arguments. Where a person is asked in place of the program, the
answer comes back with a token that serves for nothing else.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import connection
from django.db.models.functions import Now

from timing.clock import database_now
from workspaces.models import ApiToken, PlanOutcome, PlanToken

USABLE_FOR = timedelta(seconds=300)
KEPT_FOR = timedelta(days=1)  # so that who comes late is told why, and that uses can be counted
HOUR = timedelta(hours=1)


class PlanFault(StrEnum):
    UNKNOWN = "plan_unknown"
    DIFFERS = "plan_differs"
    USED = "plan_used"
    EXPIRED = "plan_expired"


_WORDS = {
    PlanFault.UNKNOWN: "This plan_token is none of ours: call without plan_token for a plan",
    PlanFault.DIFFERS: "This plan_token was given for another call: give the same arguments as then, or call without"
    " plan_token for a plan",
    PlanFault.USED: "This plan_token was used already, and a plan is carried out once: call without plan_token for"
    " another plan",
    PlanFault.EXPIRED: "This plan_token has expired: call without plan_token for a new plan",
}


class PlanRefused(Exception):
    """The plan cannot be used; the message says what to do."""

    def __init__(self, fault: PlanFault) -> None:
        super().__init__(f"{_WORDS[fault]}.")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """What a plan is bound to. `call` is a digest of the arguments, and of what they name."""

    holder: ApiToken
    tool: str
    call: str
    is_question: bool = False


def make_plan_token(planned: PlannedCall) -> tuple[str, datetime]:
    """The token, and when it expires."""
    token = secrets.token_urlsafe(32)
    expires_at = database_now() + USABLE_FOR
    PlanToken.objects.create(
        id=_digest(token),
        holder=planned.holder,
        tool=planned.tool,
        call=planned.call,
        is_question=planned.is_question,
        expires_at=expires_at,
    )
    return token, expires_at


def use_plan(token: str, planned: PlannedCall, outcome: PlanOutcome = PlanOutcome.ACTED) -> None:
    """Uses a plan up, in the transaction that acts. Of two that come at once, one waits for the other's end. Raises
    PlanRefused."""
    row = (
        PlanToken.objects.select_for_update(of=("self",))
        .filter(
            pk=_digest(token),
            holder__workspace=planned.holder.workspace_id,
            is_question=planned.is_question,
        )
        .first()
    )
    if row is None:
        raise PlanRefused(PlanFault.UNKNOWN)
    if (row.holder_id, row.tool, row.call) != (planned.holder.pk, planned.tool, planned.call):
        raise PlanRefused(PlanFault.DIFFERS)
    if row.used_at is not None:
        raise PlanRefused(PlanFault.USED)
    if row.expires_at <= database_now():
        raise PlanRefused(PlanFault.EXPIRED)
    PlanToken.objects.filter(pk=row.pk).update(used_at=Now(), outcome=outcome)


def find_budget_wait_s(holder: ApiToken, tool: str, most_per_hour: int) -> float | None:
    """None: the program may act by this tool once more within the hour. Else in how many seconds it may. Until the
    transaction ends, nobody else acts in its name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{tool} by {holder.pk}"]
        )
    now = database_now()
    acted = PlanToken.objects.filter(
        holder=holder, tool=tool, outcome=PlanOutcome.ACTED, used_at__gt=now - HOUR
    )
    latest = list(acted.order_by("-used_at").values_list("used_at", flat=True)[:most_per_hour])
    if len(latest) < most_per_hour:
        return None
    oldest = latest[-1] if latest else None
    return ((oldest or now) + HOUR - now).total_seconds()


def drop_old_plans() -> int:
    """Deletes plans that were made more than a day ago; returns their count."""
    return PlanToken.objects.filter(made_at__lte=Now() - KEPT_FOR).delete()[0]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
