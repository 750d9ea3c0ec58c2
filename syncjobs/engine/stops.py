"""The reasons why work ends before it is done. A lease's `check` raises them; transports let them pass.

Stop
├── CancelAsked       a person or an API asked
├── DrainAsked        this worker is going away
├── WindowClosed      the job's window has ended: the rest comes in the next
├── NoRoom            the store's disk has too little room for the plan
├── LeaseLost         another claim has taken the record: write nothing more
├── DeadlinePassed    the record has used up its time
└── NoProgress        the work stood still for too long; carries what was measured
"""

from __future__ import annotations

from datetime import datetime


class Stop(Exception):
    """The work must end now."""


class CancelAsked(Stop):
    """A cancel was asked for."""


class DrainAsked(Stop):
    """The worker is shutting down."""


class WindowClosed(Stop):
    """The job may not work now; `until` is when to look again, `waits_for` what it says meanwhile."""

    def __init__(self, waits_for: str, until: datetime | None) -> None:
        self.waits_for = waits_for
        self.until = until
        super().__init__("its window has closed")


class NoRoom(Stop):
    """What the plan would fetch does not fit on the store's disk; `waits_for` says what is missing."""

    def __init__(self, waits_for: str) -> None:
        self.waits_for = waits_for
        super().__init__(f"it waits for {waits_for}")


class LeaseLost(Stop):
    """The lease belongs to another claim."""


class DeadlinePassed(Stop):
    """The record has used up its time."""


class NoProgress(Stop):
    """The work stood still for too long."""

    def __init__(self, stage: str, silent_s: float, limit_s: float) -> None:
        self.stage = stage
        self.silent_s = silent_s
        self.limit_s = limit_s
        words = stage.replace("_", " ") or "starting"
        super().__init__(
            f"nothing moved for {silent_s:.0f} s while {words} (limit {limit_s:.0f} s)"
        )


# The record goes on later, so what has arrived is worth keeping.
PUT_OFF = (DrainAsked, WindowClosed, NoProgress)
