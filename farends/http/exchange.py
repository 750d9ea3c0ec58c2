"""One HTTP request and who takes its response, with redirects and log-in challenges in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from farends.errors import ProtocolViolation, TransportError
from farends.web.answers import REDIRECTS, REDIRECTS_MAX, follow_location
from farends.web.response import Head
from farends.web.url import Url

INBOX_BYTES_MAX = 1024 * 1024
_ACTION_BYTES = 256  # what waits beside a body's bytes
_SMALL_BYTES = 4 * 1024
_CHALLENGES_MAX = 2


class Taker(Protocol):
    """What a request's owner does with its response; called from the owner's own loop."""

    def on_head(self, head: Head) -> None: ...

    def on_data(self, data: memoryview) -> None: ...

    def on_end(self) -> None: ...

    def on_error(self, error: TransportError) -> None: ...


@dataclass(eq=False, slots=True)
class _Gathered:
    """Small pieces of one body, put together: each by itself costs far more than its bytes."""

    exchange: Exchange
    data: bytearray

    def __call__(self) -> None:
        self.exchange.give(memoryview(self.data))


@dataclass(eq=False)
class Inbox:
    """What came for one owner and waits to be acted on: what the owner's code raises then leaves
    the connections whole. A full inbox stops reading, so the peer waits, not our memory."""

    todo: deque[tuple[Callable[[], None], int]] = field(default_factory=deque)
    size_bytes: int = 0
    _gathered: _Gathered | None = None  # the last in `todo`, which may grow

    def put(self, action: Callable[[], None], size_bytes: int = 0) -> None:
        self._gathered = None
        size_bytes += _ACTION_BYTES
        self.todo.append((action, size_bytes))
        self.size_bytes += size_bytes

    def put_small(self, exchange: Exchange, data: memoryview) -> None:
        gathered = self._gathered
        if gathered is not None and gathered.exchange is exchange:
            gathered.data += data
            action, size_bytes = self.todo.pop()
            self.todo.append((action, size_bytes + len(data)))
            self.size_bytes += len(data)
        else:
            gathered = _Gathered(exchange, bytearray(data))
            self.put(gathered, len(data))
            self._gathered = gathered

    def run(self) -> None:
        while self.todo:
            self.run_one()

    def run_one(self) -> None:
        action, size_bytes = self.todo.popleft()
        self.size_bytes -= size_bytes
        if action is self._gathered:
            self._gathered = None
        action()


class Sender(Protocol):
    """What an exchange needs from the client: to be sent (again), and fields that prove who asks."""

    def submit_next(self, exchange: Exchange) -> None: ...

    def fields(self, method: str, url: Url) -> Mapping[str, str]: ...

    def take_challenge(self, url: Url, www_authenticate: str) -> bool: ...


class Exchange:
    """See the module. `weight_bytes` is about how much is expected to come."""

    def __init__(
        self,
        sender: Sender,
        inbox: Inbox,
        taker: Taker,
        method: str,
        url: Url,
        *,
        fields: Mapping[str, str] | None = None,
        weight_bytes: int = 0,
    ) -> None:
        self._sender = sender
        self._inbox = inbox
        self._taker = taker
        self._fields = fields or {}
        self._redirects = 0
        self._challenges = 0
        self._swallow = False
        self._following: Exchange | None = None
        self.method = method
        self.url = url
        self.weight_bytes = weight_bytes
        self.tries = 0
        self.on_wire = False  # it was sent, and is not over
        self.unwanted = False
        self.head: Head | None = None

    @property
    def wire(self) -> bytes:
        lines = [f"{self.method} {self.url.target} HTTP/1.1", f"Host: {self.url.origin.authority}"]
        for fields in (self._fields, self._sender.fields(self.method, self.url)):
            lines += [f"{name}: {value}" for name, value in fields.items()]
        lines += ["Accept-Encoding: identity", "User-Agent: SyncProject", "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def paused(self) -> bool:
        return self._inbox.size_bytes > INBOX_BYTES_MAX

    @property
    def latest(self) -> Exchange:
        """The exchange that this one led to by redirects and challenges, or itself."""
        return self if self._following is None else self._following.latest

    def cancel(self) -> None:
        """The rest of the response is not wanted."""
        self.unwanted = True
        if self._following is not None:
            self._following.cancel()

    def on_head(self, head: Head) -> None:
        self.head = head
        self._swallow = not self.unwanted and (self._answers_challenge(head) or self._follows(head))
        if not self._swallow:
            self._inbox.put(lambda: self._taker.on_head(head))

    def on_data(self, data: memoryview) -> None:
        if not self._swallow and not self.unwanted:
            if len(data) < _SMALL_BYTES:
                self._inbox.put_small(self, data)
            else:
                self._inbox.put(lambda: self.give(data), len(data))

    def give(self, data: memoryview) -> None:
        if not self.unwanted:
            self._taker.on_data(data)

    def on_end(self) -> None:
        if not self._swallow and not self.unwanted:
            self._inbox.put(lambda: None if self.unwanted else self._taker.on_end())

    def on_error(self, error: TransportError) -> None:
        if not self._swallow and not self.unwanted:
            self._inbox.put(lambda: None if self.unwanted else self._taker.on_error(error))

    def _answers_challenge(self, head: Head) -> bool:
        challenge = head.fields.get("www-authenticate", "")
        if head.status != 401 or self._challenges >= _CHALLENGES_MAX:
            return False
        if not self._sender.take_challenge(self.url, challenge):
            return False
        self._challenges += 1
        self._again(self.url)
        return True

    def _follows(self, head: Head) -> bool:
        location = head.fields.get("location")
        if head.status not in REDIRECTS or location is None:
            return False
        try:
            self._again(self._next_url(location))
        except TransportError as exc:
            self.on_error(exc)
        return True

    def _next_url(self, location: str) -> Url:
        """Each hop is judged again: its address by the dialer, its credentials by `Sender.fields`."""
        self._redirects += 1
        if self._redirects > REDIRECTS_MAX:
            raise ProtocolViolation(f"redirected more than {REDIRECTS_MAX} times")
        return follow_location(self.url, location)

    def _again(self, url: Url) -> None:
        following = Exchange(
            self._sender,
            self._inbox,
            self._taker,
            self.method,
            url,
            fields=self._fields,
            weight_bytes=self.weight_bytes,
        )
        following._redirects, following._challenges = self._redirects, self._challenges
        self._following = following
        self._sender.submit_next(following)
