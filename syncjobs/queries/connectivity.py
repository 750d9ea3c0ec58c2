"""Reads what past work has shown about a connector's far end. It calls nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors.learning import find_budget
from connectors.models import Connector
from farends.budget import FAILURES_OPEN, Budget
from farends.errors import ConnectionLost, NameNotResolved, Stalled, Unreachable
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from timing.clock import database_now

AWAY = tuple(kind.code for kind in (Unreachable, NameNotResolved, ConnectionLost, Stalled))


@dataclass(frozen=True, slots=True)
class Circuit:
    """Closed: records may call. Open: nobody does before `until`. Half open: one record tries."""

    state: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Connectivity:
    """`online` is None where nothing was heard of the host yet."""

    address: str
    online: bool | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str
    consecutive_failures: int
    circuit: Circuit
    paused_until: datetime | None  # as the host asked
    max_running: int | None  # learned from its complaints
    running: int
    last_test_at: datetime | None
    last_test_passed: bool | None


def judge_connectivity(connector: Connector) -> Connectivity:
    now = database_now()
    budget = find_budget(connector.workspace_id, connector.address) or Budget()
    failed = (
        SyncRecord.objects.filter(
            connector=connector, state__in=[State.FAILED, State.TIMED_OUT], error_code__in=AWAY
        )
        .order_by("-queued_at")
        .only("finished_at", "error")
        .first()
    )
    passed = has_passed(connector)
    successes = [connector.last_sync_at, connector.last_test_at if passed else None]
    failures = [failed.finished_at if failed else None, None if passed else connector.last_test_at]
    succeeded_at, failed_at = _latest(successes), _latest(failures)
    return Connectivity(
        address=connector.address,
        online=_is_online(budget, passed, succeeded_at, failed_at),
        last_success_at=succeeded_at,
        last_failure_at=failed_at,
        last_error=budget.last_error or (failed.error if failed else ""),
        consecutive_failures=budget.failures,
        circuit=judge_circuit(budget, now),
        paused_until=budget.hold_until if budget.hold_until and budget.hold_until > now else None,
        max_running=budget.max_running,
        running=SyncRecord.either.filter(
            workspace=connector.workspace_id, address=connector.address, state=State.RUNNING
        ).count(),
        last_test_at=connector.last_test_at,
        last_test_passed=passed,
    )


def has_passed(connector: Connector) -> bool | None:
    """Whether the kept connection test has passed; None if there is none."""
    if connector.last_test_at is None:
        return None
    return all(stage.get("outcome") != "failed" for stage in connector.last_test or [])


def _is_online(
    budget: Budget, passed: bool | None, succeeded_at: datetime | None, failed_at: datetime | None
) -> bool | None:
    if budget.failures:
        return False
    if succeeded_at is None and failed_at is None:
        return None
    return failed_at is None or (succeeded_at is not None and succeeded_at >= failed_at)


def judge_circuit(budget: Budget, now: datetime) -> Circuit:
    """What records may do at this moment."""
    if budget.opened_until is not None and budget.opened_until > now:
        return Circuit("open", budget.opened_until)
    return Circuit("half_open" if budget.failures >= FAILURES_OPEN else "closed")


def _latest(moments: list[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
