"""What a move of a record means under a rule of each kind. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from alerts.core.words import RuleKind
from syncjobs.core.suspicion import SUSPECT

_FAILED = frozenset({"failed", "timed_out", "partial"})
_PUBLISHED = frozenset({"succeeded", "partial"})


@dataclass(frozen=True, slots=True)
class RecordMove:
    """A record of a job went from one state to another."""

    record_id: uuid.UUID
    from_state: str
    to_state: str
    verdict: str = ""  # of a record that has ended


@dataclass(frozen=True, slots=True)
class Sign:
    """Good or bad news of a subject."""

    is_bad: bool
    of_record: uuid.UUID | None = None  # it is good only for an alert that is about this record
    is_state: bool = False  # how it stands, which is no news while the alert fires


_BAD, _GOOD = Sign(is_bad=True), Sign(is_bad=False)


def judge_move(kind: RuleKind, move: RecordMove) -> Sign | None:
    """Returns None where the move says nothing to rules of the kind, or these do not go by records."""
    judge = _JUDGES.get(kind)
    return None if judge is None else judge(move)


def is_by_records(kind: RuleKind) -> bool:
    return kind in _JUDGES


def _judge_end(move: RecordMove) -> Sign | None:
    """Only the last try of a record ends it. A record that was cancelled, or skipped, says nothing."""
    if move.to_state in _FAILED:
        return _BAD
    return _GOOD if move.to_state == "succeeded" else None


def _judge_hold(move: RecordMove) -> Sign | None:
    """The newest held record of a job is what waits for a person: the end of an older one decides nothing. A later
    record that has published takes the place of them all."""
    if move.to_state == "held":
        return _BAD
    if move.from_state == "held":
        return Sign(is_bad=False, of_record=move.record_id)
    return _GOOD if move.to_state in _PUBLISHED else None


def _judge_verdict(move: RecordMove) -> Sign | None:
    if move.to_state != "succeeded":
        return None
    return _BAD if move.verdict == SUSPECT else _GOOD


_JUDGES: dict[RuleKind, Callable[[RecordMove], Sign | None]] = {
    RuleKind.FAILURE: _judge_end,
    RuleKind.FAILURES_IN_A_ROW: _judge_end,
    RuleKind.HELD: _judge_hold,
    RuleKind.SUSPECT: _judge_verdict,
    RuleKind.ERROR_RATE: _judge_end,
}
