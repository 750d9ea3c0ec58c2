"""How often a token may ask: counted in Redis, so that all web processes agree.

Without Redis nobody is refused: what is counted here protects from programs that ask in a loop, and is no reason
to close the door.
"""

from __future__ import annotations

import math
import threading
import time
from functools import cache
from http import HTTPStatus

import structlog
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from api.rest.answers import Refused

log = structlog.get_logger(__name__)
ANSWER_WITHIN_S = 0.25
ASK_AGAIN_AFTER_S = 5.0
# limits imports redis when it first opens one: of two threads at that, the later finds half a module and gives up.
_opening = threading.Lock()


class Throttle:
    """`per_minute` 0 counts nothing."""

    def __init__(self, redis_url: str, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._url = redis_url
        self._limiter: SlidingWindowCounterRateLimiter | None = None
        self._blind_until = 0.0

    def wait_s(self, key: str) -> int:
        """Counts one request; whole seconds until one is allowed again, 0: this one is."""
        if self._item is None or time.monotonic() < self._blind_until:
            return 0
        try:
            limiter = self._open()
            if limiter.hit(self._item, key):
                return 0
            return max(
                1, math.ceil(limiter.get_window_stats(self._item, key).reset_time - time.time())
            )
        except StorageError as exc:
            self._blind_until = time.monotonic() + ASK_AGAIN_AFTER_S
            log.warning("api.not_throttled", reason=type(exc.storage_error).__name__)
            return 0

    def _open(self) -> SlidingWindowCounterRateLimiter:
        with _opening:
            return self._open_once()

    def _open_once(self) -> SlidingWindowCounterRateLimiter:
        if self._limiter is None:
            storage = storage_from_string(
                self._url,
                wrap_exceptions=True,
                socket_timeout=ANSWER_WITHIN_S,
                socket_connect_timeout=ANSWER_WITHIN_S,
            )
            self._limiter = SlidingWindowCounterRateLimiter(storage)
        return self._limiter


def take_turn(who: str) -> None:
    """Raises Refused where `who` asks too often."""
    if wait_s := _throttle().wait_s(who):
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Over {settings.SYNC.api_requests_per_minute:,} requests in a minute: ask again in {wait_s} s.",
            retry_after_s=wait_s,
        )


@cache
def _throttle() -> Throttle:
    return Throttle(settings.CELERY_BROKER_URL, settings.SYNC.api_requests_per_minute)
