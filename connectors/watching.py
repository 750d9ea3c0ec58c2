"""When a far end counts as online, and what is told of it. Pure: values in, values out.

Offline after two failures in a row, so that one lost packet alarms nobody; online after one success. A host that
flaps is not told of at each turn: after more than three changes within ten minutes nothing is told until it has
been calm for five. Work does not wait for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FAILURES_OFFLINE = 2
FLAPPING_CHANGES = 3  # within FLAPPING_S: more are held back
FLAPPING_S = 600
CALM_S = 300


class Reachability(StrEnum):
    UNKNOWN = "unknown"  # nothing was heard yet
    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class HostState:
    """What is known of a far end. `told` is the state that people last heard of."""

    state: Reachability = Reachability.UNKNOWN
    since: datetime | None = None  # of the state
    told: Reachability = Reachability.UNKNOWN
    last_check_at: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    failures: int = 0  # in a row
    last_error: str = ""
    changes: tuple[datetime, ...] = ()  # of the last ten minutes

    def is_flapping(self, now: datetime) -> bool:
        recent = [at for at in self.changes if now - at <= timedelta(seconds=FLAPPING_S)]
        calm = not recent or now - recent[-1] > timedelta(seconds=CALM_S)
        return len(recent) > FLAPPING_CHANGES and not calm


def after_success(seen: HostState, now: datetime) -> HostState:
    seen = replace(seen, last_check_at=now, last_success_at=now, failures=0, last_error="")
    return _move(seen, Reachability.ONLINE, now)


def after_failure(seen: HostState, now: datetime, error: str, *, sure: bool = False) -> HostState:
    """`sure`: one failure is enough, because another one has just told the same."""
    failures = seen.failures + 1
    seen = replace(
        seen, last_check_at=now, last_failure_at=now, failures=failures, last_error=error
    )
    is_off = sure or failures >= FAILURES_OFFLINE
    return _move(seen, Reachability.OFFLINE, now) if is_off else seen


def tell(seen: HostState, now: datetime) -> tuple[HostState, Reachability | None]:
    """What people are to hear now; None: nothing, or nothing yet."""
    if seen.state == seen.told or seen.is_flapping(now):
        return seen, None
    return replace(seen, told=seen.state), seen.state


def _move(seen: HostState, state: Reachability, now: datetime) -> HostState:
    if seen.state == state:
        return seen
    recent = [at for at in seen.changes if now - at <= timedelta(seconds=FLAPPING_S)]
    return replace(seen, state=state, since=now, changes=(*recent, now))
