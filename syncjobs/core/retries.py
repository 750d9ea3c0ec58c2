"""Decides whether another attempt follows a failed one, and when.

Two things go wrong. Where only time helps (nobody answers, the host asks to wait, the disk is full), tries cost nothing
but time, which has an end. Where the host answered and the work failed there, each try that gets no further is counted.

Equal jitter: half of an exponential ceiling and a random share of the other half. So each pause is longer than the
one before, and a thousand records of one broken host do not come back together (AWS Architecture Blog, "Exponential
Backoff And Jitter").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

BASE_S = 5.0
CEILING_S = 900.0
RETRY_AFTER_MAX_S = 86_400.0
CRASHES_MAX = 3
WAIT_MAX = timedelta(hours=24)
LAST_TRY_S = 1.0  # before the time is over
ATTEMPTS_MAX = 200  # whatever they moved: a source may grow faster than it is read


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """`delay_s` is None where no further attempt follows."""

    delay_s: float | None
    reason: str


def decide_retry(
    *,
    retryable: bool,
    attempt: int,
    vain: int,
    max_attempts: int,
    share: float,
    retry_after_s: float | None = None,
) -> RetryDecision:
    """After attempt number `attempt` (from 1) failed; `share` is a random number in [0, 1).

    `vain` counts the attempts in a row, this one included, that kept nothing of what they fetched: only
    these use up `max_attempts`, and only these let the delay grow.
    """
    if not retryable:
        return RetryDecision(None, "the error is permanent")
    if vain >= max_attempts:
        return RetryDecision(None, f"attempt {attempt}: {vain} in a row got no further")
    if attempt >= ATTEMPTS_MAX:
        return RetryDecision(None, f"attempt {attempt} was the last that any record gets")
    delay_s = _pause_s(vain, share, retry_after_s)
    told = f"{vain} of {max_attempts} in vain" if vain else "it got further"
    return RetryDecision(delay_s, f"attempt {attempt} failed, {told}")


def decide_patience(
    *, tries: int, left_s: float, share: float, retry_after_s: float | None = None
) -> RetryDecision:
    """After `tries` in a row for which only time helps; `left_s` is what is left of that."""
    if left_s <= LAST_TRY_S:
        return RetryDecision(None, "its time is over")
    delay_s = min(_pause_s(tries, share, retry_after_s), left_s - LAST_TRY_S)
    return RetryDecision(delay_s, "this costs no attempt")


def tries_until(
    now: datetime, *, due_at: datetime, next_fire: datetime | None, max_lateness_s: int | None
) -> datetime:
    """How long a record goes on waiting: to the next fire of its job, which would do the same work; while it is no
    later than its job allows; a day."""
    ends = [now + WAIT_MAX]
    if next_fire is not None:
        ends.append(next_fire)
    if max_lateness_s is not None:
        ends.append(due_at + timedelta(seconds=max_lateness_s))
    return min(ends)


def _pause_s(tries: int, share: float, retry_after_s: float | None) -> float:
    ceiling_s = min(CEILING_S, BASE_S * 2 ** min(max(tries, 1) - 1, 20))
    pause_s: float = ceiling_s / 2 * (1 + share)
    if retry_after_s is None:
        return pause_s
    return max(pause_s, min(retry_after_s, RETRY_AFTER_MAX_S))


def decide_crash(*, crashes: int, share: float) -> RetryDecision:
    """After the worker of a record died for the `crashes`-th time without progress."""
    if crashes >= CRASHES_MAX:
        return RetryDecision(None, f"its worker died {crashes} times")
    if crashes <= 1:
        return RetryDecision(0.0, "its worker died")
    return RetryDecision(share * BASE_S * 2 ** (crashes - 1), f"its worker died {crashes} times")


def decide_pause(*, failures: int, most: int | None, deadly: bool, last_error: str) -> str:
    """Why a job pauses after so many records in a row failed for good, the last one `deadly` to its
    workers; empty: it goes on."""
    if most is None or (failures < most and not deadly):
        return ""
    if deadly:
        return f"its record was {last_error}"
    return f"{failures} records in a row failed; the last: {last_error}"
