"""Whether a failed attempt is followed by another, and when.

Full jitter: a random share of an exponential ceiling, so that a thousand records of one broken host
do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter").
"""

from __future__ import annotations

from dataclasses import dataclass

BASE_S = 5.0
CEILING_S = 900.0
RETRY_AFTER_MAX_S = 86_400.0
CRASHES_MAX = 3


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """`delay_s` is None where no further attempt follows."""

    delay_s: float | None
    reason: str


def decide_retry(
    *,
    retryable: bool,
    attempt: int,
    max_attempts: int,
    share: float,
    retry_after_s: float | None = None,
) -> RetryDecision:
    """After attempt number `attempt` (from 1) failed; `share` is a random number in [0, 1)."""
    if not retryable:
        return RetryDecision(None, "the error is permanent")
    if attempt >= max_attempts:
        return RetryDecision(None, f"attempt {attempt} of {max_attempts} was the last")
    delay_s = max(1.0, share * min(CEILING_S, BASE_S * 2 ** (attempt - 1)))
    if retry_after_s is not None:
        delay_s = max(delay_s, min(retry_after_s, RETRY_AFTER_MAX_S))
    return RetryDecision(delay_s, f"attempt {attempt} of {max_attempts} failed")


def decide_crash(*, crashes: int, share: float) -> RetryDecision:
    """After the worker of a record died for the `crashes`-th time without progress."""
    if crashes >= CRASHES_MAX:
        return RetryDecision(None, f"its worker died {crashes} times")
    if crashes <= 1:
        return RetryDecision(0.0, "its worker died")
    return RetryDecision(share * BASE_S * 2 ** (crashes - 1), f"its worker died {crashes} times")
