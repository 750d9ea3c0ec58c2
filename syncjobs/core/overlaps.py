"""What becomes of an older record of a job when a newer one is to begin: the one place that says so."""

from __future__ import annotations

from enum import StrEnum

from syncjobs.core.states import State


class Overlap(StrEnum):
    """What a job does while an older record of it is queued or running."""

    QUEUE = "queue"  # the newer one waits behind the running one; a queued one serves it as well
    SKIP = "skip"  # the newer one is not served, and a record says so
    CANCEL_OLDER = "cancel_older"  # the older ones are cancelled in its favour


class Older(StrEnum):
    """What becomes of the older record."""

    STAYS = "stays"
    KEEPS_OUT = "keeps_out"  # it stays, and the newer one does not begin
    ENDS = "ends"  # its worker is asked to end it
    GIVES_WAY = "gives_way"  # nobody works on it: it ends at once


def decide_overlap(policy: str, older: str) -> Older:
    """`older`: the state of the older record, queued or running."""
    match Overlap(policy):
        case Overlap.QUEUE:
            return Older.STAYS
        case Overlap.SKIP:
            return Older.KEEPS_OUT
        case Overlap.CANCEL_OLDER:
            return Older.ENDS if older == State.RUNNING else Older.GIVES_WAY
