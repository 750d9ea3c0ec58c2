"""Redis as the broker, where neither an entry that is no message nor a broker that goes away costs the worker.

kombu's own transport lets the error of reading such an entry end the process, and whoever starts the process anew loses
another one to the next. It also ends where the broker went away before a message was acknowledged: a channel
gives its messages back when it closes, over a connection that was let go of before.
"""

from __future__ import annotations

from queue import Empty
from typing import Any

import structlog
from kombu.transport import redis

log = structlog.get_logger(__name__)


class Deliveries(redis.QoS):
    def restore_unacked(self, client: Any = None) -> Any:
        if self.channel.connection.client is None:
            # They come again after the visibility timeout; until then beat rings for what is due.
            log.warning("bell.not_given_back", messages=len(self._delivered))
            self._delivered.clear()
            return []
        return super().restore_unacked(client)  # type: ignore[no-untyped-call]


class Channel(redis.Channel):
    QoS = Deliveries

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, AttributeError, LookupError) as exc:
            # It is off the list already; its words stay out of the log.
            log.warning("bell.no_message", error=type(exc).__name__)
            raise Empty from None


class BrokerTransport(redis.Transport):
    Channel = Channel
