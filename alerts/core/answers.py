"""What the answer to a try means for the message and for its channel."""

from __future__ import annotations

from dataclasses import dataclass

from alerts.core.words import DeliveryOutcome

RETRY_AFTER_S = (30.0, 120.0, 600.0, 3_600.0)  # after the first try, the second, …
WAIT_MAX_S = 3_600.0

# The codes of tries; waiting may help with these.
SERVER_ERROR, THROTTLED, TIMED_OUT = "server_error", "throttled", "timed_out"
UNREACHABLE, NAME_NOT_RESOLVED, CONNECTION_LOST = (
    "unreachable",
    "name_not_resolved",
    "connection_lost",
)
COURIER_LOST = "courier_lost"  # the process that sends ended: nobody knows what became of it
# With these a person must act.
TLS, AUTH_REFUSED, NOT_FOUND, REFUSED = "tls", "auth_refused", "not_found", "refused"
REDIRECT_REFUSED, FORBIDDEN_NETWORK, CHANNEL_INVALID = (
    "redirect_refused",
    "forbidden_network",
    "channel_invalid",
)
_PERMANENT = frozenset(
    {TLS, AUTH_REFUSED, NOT_FOUND, REFUSED, REDIRECT_REFUSED, FORBIDDEN_NETWORK, CHANNEL_INVALID}
)
_TOLD_LATER = frozenset({408, 425})


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """How one try ended. `detail` is for people, without secrets."""

    delivered: bool
    code: str = ""
    detail: str = ""
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NextStep:
    """`wait_s` is of RETRIED."""

    outcome: DeliveryOutcome
    wait_s: float = 0.0


def decide_next(answer: SendAnswer, attempts: int) -> NextStep:
    """`attempts` counts the tries of the message, this one included."""
    if answer.delivered:
        return NextStep(DeliveryOutcome.DELIVERED)
    if answer.code in _PERMANENT or attempts > len(RETRY_AFTER_S):
        return NextStep(DeliveryOutcome.BROKEN)
    wait_s = RETRY_AFTER_S[attempts - 1]
    if answer.retry_after_s is not None:
        wait_s = min(max(1.0, answer.retry_after_s), WAIT_MAX_S)
    return NextStep(DeliveryOutcome.RETRIED, wait_s)


def code_of_status(status: int) -> str:
    """Of an HTTP status that is no success."""
    if status == 429:
        return THROTTLED
    if status in (401, 403):
        return AUTH_REFUSED
    if status in (404, 410):
        return NOT_FOUND
    if status >= 500 or status in _TOLD_LATER:
        return SERVER_ERROR
    return REDIRECT_REFUSED if status < 400 else REFUSED


def code_of_smtp(reply: int) -> str:
    """Of a reply of a mail server that is no success (RFC 5321 §4.2.1)."""
    if reply in (530, 534, 535):
        return AUTH_REFUSED
    return REFUSED if reply >= 500 else SERVER_ERROR
