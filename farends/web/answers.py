"""What the head of an answer means: an error, a coding that nobody asked for, the way to another place."""

from __future__ import annotations

import time
from collections.abc import Mapping

from farends.errors import (
    AuthRefused,
    PermanentError,
    PermissionRefused,
    ProtocolViolation,
    Throttled,
    TlsRefused,
    TransientError,
    TransportError,
    Vanished,
)
from farends.web.dates import seconds_until
from farends.web.response import Head
from farends.web.url import Url, resolve
from farends.wire.far_text import show

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REDIRECTS_MAX = 5


def check_coding(head: Head) -> None:
    """Raises ProtocolViolation where the body is not the file's own bytes."""
    coding = head.fields.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise ProtocolViolation(
            f"the body is coded as {show(coding, 40)!r}, which was not asked for"
        )


def follow_location(page: Url, location: str) -> Url:
    """Returns where a redirect leads from `page`. Raises ProtocolViolation, and TlsRefused from https to http."""
    # A header field comes as latin-1; its bytes are what the path is made of.
    url = resolve(page, location.encode("latin-1").decode("utf-8", "surrogateescape"))
    if page.origin.scheme == "https" and url.origin.scheme != "https":
        raise TlsRefused("redirected from https to http")
    return url


def status_error(head: Head, doing: str) -> TransportError:
    """The error that a status other than the hoped-for one stands for."""
    status = head.status
    message = f"{doing}: the host answered {status}"
    if status in (429, 503):
        delay = read_wait(head.fields)
        return Throttled(message, retry_after_s=delay)
    if status == 401:
        return AuthRefused(message)
    if status in (403, 407, 451):
        return PermissionRefused(message)
    if status in (404, 410):
        return Vanished(message)
    if status >= 500 or status in (408, 425):
        return TransientError(message)
    if status in REDIRECTS:
        return ProtocolViolation(f"{message} without a usable Location")
    return PermanentError(show(message))


def read_wait(fields: Mapping[str, str]) -> float | None:
    """How many seconds the host wants to be left alone; None where it does not say. Names of `fields` are in lower case."""
    return seconds_until(fields.get("retry-after"), fields.get("date"), now_s=time.time())


def asks_for_less(error: TransportError, head: Head | None) -> bool:
    """Whether the whole work should wait: 429, or a 503 that says for how long. A bare 503 may be about
    what was asked for alone."""
    if not isinstance(error, Throttled):
        return False
    return error.retry_after_s is not None or (head is not None and head.status == 429)
