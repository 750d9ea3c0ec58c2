"""Redis as the broker, where an entry that is no message costs a line in the log and not the worker.

kombu's own transport lets the error of reading it end the process, and whoever starts the process anew loses
another one to the next such entry.
"""

from __future__ import annotations

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)


class Channel(redis.Channel):
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, AttributeError, LookupError) as exc:
            # It is off the list already; its words stay out of the log.
            log.warning("bell.no_message", error=type(exc).__name__)
            raise Empty from None


class BrokerTransport(redis.Transport):
    Channel = Channel
