"""What a host lets us do, learned from how it answers: a circuit that opens, a pause that it asked for,
and how many records at once it bears.

The circuit (Nygard, "Release It!", "Circuit Breaker"): after `FAILURES_OPEN` failures in a row nobody
calls for a while that doubles; then one record tries, and what it finds closes or opens it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FAILURES_OPEN = 5
OPEN_S = 30.0
OPEN_MAX_S = 900.0
HOLD_S = 15.0  # where a host has enough of us and does not say for how long
HOLD_MAX_S = 86_400.0
LEARNED_MAX = 32
RELEARN = timedelta(minutes=10)  # without a complaint, one record more is tried


@dataclass(frozen=True, slots=True)
class Budget:
    """What is known of one host; a new one knows nothing and limits nothing."""

    failures: int = 0  # in a row, where the host itself was away
    opened_until: datetime | None = None
    hold_until: datetime | None = None
    max_running: int | None = None
    learned_at: datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a record may not begin; `until` where a time is known."""

    reason: str
    until: datetime | None = None

    @property
    def words(self) -> str:
        """Returns the words in which a record says what it waits for."""
        return (
            f"{self.reason}; until {self.until:%Y-%m-%d %H:%M:%S} UTC"
            if self.until
            else self.reason
        )


def after_answer(budget: Budget, now: datetime) -> Budget:
    """The host worked with us: the circuit is closed; after a time without complaint it may bear more."""
    learned = budget.max_running
    if learned is None or budget.learned_at is None or now - budget.learned_at < RELEARN:
        return replace(budget, failures=0, opened_until=None, last_error="")
    more = learned + 1 if learned < LEARNED_MAX else None
    return Budget(hold_until=budget.hold_until, max_running=more, learned_at=now)


def after_silence(budget: Budget, now: datetime, error: str) -> Budget:
    """The host was away. Failures that belong to one outage count once each call, not once a record
    that was under way already."""
    if budget.opened_until is not None and now < budget.opened_until:
        return replace(budget, last_error=error)
    failures = budget.failures + 1
    opened_until = None
    if failures >= FAILURES_OPEN:
        open_s = min(OPEN_MAX_S, OPEN_S * 2 ** min(failures - FAILURES_OPEN, 10))
        opened_until = now + timedelta(seconds=open_s)
    return replace(budget, failures=failures, opened_until=opened_until, last_error=error)


def after_complaint(
    budget: Budget, now: datetime, error: str, *, retry_after_s: float | None, running: int
) -> Budget:
    """The host has enough of us (429, 421, "too many sessions") while `running` records were at it."""
    hold_s = min(HOLD_S if retry_after_s is None else retry_after_s, HOLD_MAX_S)
    until = now + timedelta(seconds=hold_s)
    return replace(
        budget,
        hold_until=max(until, budget.hold_until) if budget.hold_until else until,
        max_running=max(1, min(running, budget.max_running or running) - 1),
        learned_at=now,
        last_error=error,
    )


def decide_call(budget: Budget, now: datetime, *, address: str, running: int) -> Obstacle | None:
    """Whether a further record may call the host; None: it may."""
    if budget.opened_until is not None and now < budget.opened_until:
        reason = f"{address} to be back: {budget.failures} calls in a row failed"
        return Obstacle(reason, budget.opened_until)
    if budget.hold_until is not None and now < budget.hold_until:
        return Obstacle(f"{address}, which asked for a pause", budget.hold_until)
    if budget.failures >= FAILURES_OPEN and running:
        return Obstacle(f"the record that tries whether {address} is back")
    if budget.max_running is not None and running >= budget.max_running:
        return Obstacle(f"a free place at {address}, which bears {budget.max_running} at once")
    return None
