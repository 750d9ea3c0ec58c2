"""The states of a sync record, the events that move it, and the one table that says how.

`docs/states.md` draws this table; a test holds the two together and every pair decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The states of a sync record, with who moves it on."""

    QUEUED = "queued"  # a worker claims it; after a crash of Redis the next tick rings again
    RUNNING = "running"  # its worker finishes it; after a crash the reaper takes it back
    HELD = "held"  # a guard stopped it; a person releases or cancels it
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # published, but some entries failed or could not be listed
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


FINAL = frozenset({State.SUCCEEDED, State.PARTIAL, State.FAILED, State.TIMED_OUT, State.CANCELLED})
ACTIVE = frozenset({State.QUEUED, State.RUNNING})  # a worker has it, or gets it without a person
OPEN = frozenset(State) - FINAL  # has not ended: also what waits for a person


class Stage(StrEnum):
    """What a running record is at."""

    INITIALIZING = "initializing"
    DETECTING_CHANGES = "detecting_changes"
    PROCESSING_FILES = "processing_files"
    UPDATING_EMBEDDINGS = "updating_embeddings"
    FINALIZING = "finalizing"


class Event(StrEnum):
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    PARTLY_SUCCEEDED = "partly_succeeded"
    GUARD_STOPPED = "guard_stopped"
    FAILED = "failed"
    RETRY_SCHEDULED = "retry_scheduled"
    GAVE_UP = "gave_up"  # it waited for its next try until its time was over
    GAVE_UP_PARTLY = "gave_up_partly"  # the same, when some of its tables were published
    DEADLINE_PASSED = "deadline_passed"
    INTERRUPTED = "interrupted"  # drained: costs no attempt
    LEASE_EXPIRED = "lease_expired"
    QUARANTINED = "quarantined"  # its workers died too often
    STOPPED = "stopped"  # the worker obeyed a cancel, or the reaper did in its place
    CANCELLED = "cancelled"  # nobody was working on it
    COALESCED = "coalesced"  # another queued record of the job serves its fire
    SKIPPED = "skipped"  # born final: its fire was not served, and this record says why
    PARKED = "parked"  # its window has closed: it goes on in the next; costs no attempt
    RELEASED = "released"
    BACKFILLED = "backfilled"  # which fire of which backfill it is for
    FOLLOWED = "followed"  # which jobs' ends it was queued for
    VERIFICATION_DUE = "verification_due"  # why a scheduled record runs as `full`


@dataclass(frozen=True, slots=True)
class Move:
    """An event's only way: from any of these states to that one."""

    sources: frozenset[State]
    target: State


_RUNNING = frozenset({State.RUNNING})
_WAITING = frozenset({State.QUEUED, State.HELD})

MOVES: dict[Event, Move] = {
    Event.CLAIMED: Move(frozenset({State.QUEUED}), State.RUNNING),
    Event.SUCCEEDED: Move(_RUNNING, State.SUCCEEDED),
    Event.PARTLY_SUCCEEDED: Move(_RUNNING, State.PARTIAL),
    Event.GUARD_STOPPED: Move(_RUNNING, State.HELD),
    Event.FAILED: Move(_RUNNING, State.FAILED),
    Event.RETRY_SCHEDULED: Move(_RUNNING, State.QUEUED),
    Event.GAVE_UP: Move(frozenset({State.QUEUED}), State.FAILED),
    Event.GAVE_UP_PARTLY: Move(frozenset({State.QUEUED}), State.PARTIAL),
    Event.DEADLINE_PASSED: Move(_RUNNING, State.TIMED_OUT),
    Event.INTERRUPTED: Move(_RUNNING, State.QUEUED),
    Event.LEASE_EXPIRED: Move(_RUNNING, State.QUEUED),
    Event.QUARANTINED: Move(_RUNNING, State.FAILED),
    Event.STOPPED: Move(_RUNNING, State.CANCELLED),
    Event.CANCELLED: Move(_WAITING, State.CANCELLED),
    Event.COALESCED: Move(frozenset({State.QUEUED}), State.CANCELLED),
    Event.SKIPPED: Move(frozenset({State.QUEUED}), State.CANCELLED),
    Event.PARKED: Move(_RUNNING, State.QUEUED),
    Event.RELEASED: Move(frozenset({State.HELD}), State.QUEUED),
    Event.BACKFILLED: Move(frozenset({State.QUEUED}), State.QUEUED),
    Event.FOLLOWED: Move(frozenset({State.QUEUED}), State.QUEUED),
    Event.VERIFICATION_DUE: Move(frozenset({State.QUEUED}), State.QUEUED),
}


_LATE = (Event.CLAIMED, Event.COALESCED, Event.GAVE_UP, Event.GAVE_UP_PARTLY)


class Refusal(StrEnum):
    """Why an event does not move a record."""

    STALE = "stale"  # the record has moved on: the caller is late, nothing is wrong
    ILLEGAL = "illegal"  # the event has no meaning here: the caller is wrong


def decide(state: State, event: Event) -> State | Refusal:
    """The state that follows, or why none does."""
    move = MOVES[event]
    if state in move.sources:
        return move.target
    # Whoever works on a record, or answers a bell, may find it taken back, cancelled or finished.
    late = move.sources <= _RUNNING or event in _LATE
    return Refusal.STALE if late or state in FINAL else Refusal.ILLEGAL
