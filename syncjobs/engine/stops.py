"""Why work ends before it is done. Raised by a watch's `check`, passed through by transports.

Stop
├── CancelAsked       a person or an API asked
├── DrainAsked        this worker is going away
├── LeaseLost         another claim has taken the record: write nothing more
└── DeadlinePassed    the record has used up its time
"""

from __future__ import annotations


class Stop(Exception):
    """The work must end now."""


class CancelAsked(Stop):
    """A cancel was asked for."""


class DrainAsked(Stop):
    """The worker is shutting down."""


class LeaseLost(Stop):
    """The lease belongs to another claim."""


class DeadlinePassed(Stop):
    """The record has used up its time."""
