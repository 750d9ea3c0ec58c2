"""How long a batch waits after a try that did not succeed."""

from __future__ import annotations

from dataclasses import dataclass

from outbox.core.answers import Judgement, TryOutcome

PAUSES_S = (2.0, 4.0, 8.0, 16.0, 32.0)
PAUSE_MAX_S = 60.0
SPREAD = 0.25
# 409 means that the first try still runs over there (draft-ietf-httpapi-idempotency-key-header §2.6).
STILL_AT_WORK = 409


@dataclass(frozen=True, slots=True)
class RetryWait:
    wait_s: float
    tries: int  # of the round, this one counted; 0: the round is over and the next one starts again
    pauses: bool = False  # a person must act


def decide_wait(
    judgement: Judgement, tries_before: int, *, tries_max: int, round_s: float, luck: float
) -> RetryWait:
    """For the outcomes `later` and `offline`. `luck` is random in [0, 1)."""
    if judgement.outcome is TryOutcome.OFFLINE:
        return RetryWait(round_s, tries_before)
    tries = tries_before + 1
    if tries >= tries_max:
        waited = max(round_s, judgement.wait_s or 0.0)
        return RetryWait(waited, 0, pauses=judgement.status == STILL_AT_WORK)
    if judgement.wait_s is not None:
        return RetryWait(judgement.wait_s, tries)
    return RetryWait(pause_s(tries, luck), tries)


def pause_s(tries: int, luck: float) -> float:
    """2, 4, 8, 16, 32 s, each 25 % more or less, so that many streams do not come back at once."""
    base = min(PAUSES_S[min(tries, len(PAUSES_S)) - 1], PAUSE_MAX_S)
    return base * (1 - SPREAD + 2 * SPREAD * luck)
