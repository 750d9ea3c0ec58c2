"""Decides whether another attempt follows a failed one, and when.

Full jitter: a random share of an exponential ceiling, so that a thousand records of one broken host
do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

from __future__ import annotations

from dataclasses import dataclass

BASE_S = 5.0
CEILING_S = 900.0
RETRY_AFTER_MAX_S = 86_400.0
CRASHES_MAX = 3
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
    delay_s = max(1.0, share * min(CEILING_S, BASE_S * 2 ** min(max(vain, 1) - 1, 20)))
    if retry_after_s is not None:
        delay_s = max(delay_s, min(retry_after_s, RETRY_AFTER_MAX_S))
    told = f"{vain} of {max_attempts} in vain" if vain else "it got further"
    return RetryDecision(delay_s, f"attempt {attempt} failed, {told}")


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
