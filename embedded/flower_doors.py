"""Closes what Flower leaves open: its metrics, and endless tries of passwords.

`deploy/flowerconfig.py` calls this in Flower's process, in the one-machine stack and in containers alike.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings

from workspaces.addresses import find_client

FAILURES_MAX = 50
WITHIN_S = 15 * 60.0
ADDRESSES_MAX = 10_000  # of which failures are remembered, the latest


class Failures:
    """Log-ins that failed, by address. One process serves Flower, so that memory is enough."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """0: this address may try."""
        failed = self._of.get(address)
        if failed is None or len(failed) < FAILURES_MAX:
            return 0
        return max(0, int(failed[0] + WITHIN_S - self._clock() + 0.999))

    def note(self, address: str) -> None:
        failed = self._of.setdefault(address, deque(maxlen=FAILURES_MAX))
        failed.append(self._clock())
        self._of.move_to_end(address)
        while len(self._of) > ADDRESSES_MAX:
            self._of.popitem(last=False)


def close() -> None:
    from flower.views import BaseHandler
    from flower.views.monitor import Metrics
    from tornado.web import HTTPError, authenticated

    failures = Failures()
    let_in: Callable[[Any], Any] = BaseHandler.get_current_user

    def get_current_user(handler: Any) -> Any:
        request = handler.request
        client = find_client(request.remote_ip, request.headers, settings.TRUSTED_PROXIES)
        if client and (wait_s := failures.wait_s(client)):
            handler.set_header("Retry-After", str(wait_s))
            raise HTTPError(HTTPStatus.TOO_MANY_REQUESTS)
        try:
            return let_in(handler)
        except HTTPError as exc:
            # Whoever gave no password has tried none.
            tried = "Authorization" in request.headers
            if client and tried and exc.status_code == HTTPStatus.UNAUTHORIZED:
                failures.note(client)
            raise

    BaseHandler.get_current_user = get_current_user
    Metrics.get = authenticated(Metrics.get)
