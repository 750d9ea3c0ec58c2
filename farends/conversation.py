"""The one place where `requests` speaks: conversations over HTTP, where one request carries much.

Bulk transfers have a client of their own (`farends.http`). Here a library reads and writes HTTP, and
this adapter takes from it what it must not decide:

- `farends.web.opening` opens every socket, to the address that the dialer judged. No proxy, no
  `.netrc` and no certificate comes from the environment.
- A `ClockedSocket` keeps the clocks: the whole time, the slowest rate, cancellation.
- Nothing is followed, decoded, stored (cookies) or tried again unless this module does it.
- Credentials go to the one origin that they are for.
- A library's error leaves as a TransportError.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util.response import assert_header_parsing

from farends.contract import Context
from farends.conversation_errors import ErrorBorder
from farends.errors import (
    ConnectionLost,
    ProtocolViolation,
    Stalled,
    TooLarge,
    Truncated,
)
from farends.web.answers import REDIRECTS, REDIRECTS_MAX, check_coding, follow_location
from farends.web.auth import LoggingIn
from farends.web.clocked_socket import ClockedSocket, Clocks
from farends.web.opening import open_socket
from farends.web.response import INTERIM_MAX, Head, parse_head
from farends.web.url import Origin, Url

Body = bytes | Iterable[bytes]

_CHUNK_BYTES = 64 * 1024
_CHALLENGES_MAX = 2
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_BODYLESS = frozenset({204, 304})
# A redirect to another host takes these along. Any other field may be a secret, such as a session's id.
_ANYWHERE = frozenset({"accept", "depth", "content-type"})
_OURS = frozenset(
    {
        "host", "authorization", "proxy-authorization", "cookie", "accept-encoding", "connection",
        "content-length", "transfer-encoding",
    }
)  # fmt: skip
# What may be sent again where a kept connection turns out to be over: it changes nothing at the host.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"})
_DRAIN_BYTES_MAX = 64 * 1024  # a longer rest costs more than a new connection


@dataclass(frozen=True, slots=True)
class ConversationLimits:
    """What one exchange may take, its redirects and log-in challenges included.

    `total_s` runs until the last byte of the answer was read. Fewer than `progress_bytes` in either
    direction within the patience's `idle_s` is a drip. `needs_frame`: a body must have a length or chunks; who
    reads what tells its own end, such as JSON, can do without.
    """

    total_s: float = 60.0
    progress_bytes: int = 1024
    body_bytes_max: int = 16 * 1024 * 1024
    redirects_max: int = REDIRECTS_MAX
    needs_frame: bool = True


class Answer:
    """The head of an answer, and its body, which is read once. Close it, or read it to its end.

    `url` is where the answer came from. Reading raises Truncated for a body that was cut, TooLarge for
    one over the limit, ProtocolViolation for one whose end nobody can tell, and Stalled.
    """

    def __init__(
        self,
        url: Url,
        head: Head,
        response: requests.Response,
        border: ErrorBorder,
        limits: ConversationLimits,
    ) -> None:
        self.url = url
        self.head = head
        self._method = response.request.method
        self._raw: urllib3.BaseHTTPResponse = response.raw
        self._border = border
        self._bytes_max = limits.body_bytes_max
        self._needs_frame = limits.needs_frame

    @property
    def status(self) -> int:
        return self.head.status

    def __enter__(self) -> Answer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """The body in pieces, each as soon as it comes."""
        if self._is_bodyless:
            self._read_some()
            return
        count = 0
        try:
            self._check_frame()
            while data := self._read_some():
                count += len(data)
                self._check_size(count)
                yield data
            self._check_whole(count)
        except BaseException:
            self.close()
            raise

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self)

    def close(self) -> None:
        """Gives up what was not read, and its connection with it."""
        self._raw.close()

    def pass_over(self) -> None:
        """Like `close`, but the connection stays where the rest is short."""
        length = 0 if self._is_bodyless else self.head.length
        if length is not None and length <= _DRAIN_BYTES_MAX:
            while self._read_some():
                pass
        self.close()

    @property
    def _is_bodyless(self) -> bool:
        return self._method == "HEAD" or self.status in _BODYLESS

    def _check_frame(self) -> None:
        check_coding(self.head)
        if self._needs_frame and not self.head.framed:
            raise ProtocolViolation("the host tells neither the answer's length nor its end")
        self._check_size(self.head.length or 0)

    def _check_size(self, count: int) -> None:
        if count > self._bytes_max:
            raise TooLarge(f"the answer has over {self._bytes_max} bytes")

    def _check_whole(self, count: int) -> None:
        if self.head.length not in (None, count):
            raise Truncated(f"the answer ended after {count} of {self.head.length} bytes")

    def _read_some(self) -> bytes:
        with self._border:
            return self._raw.read1(_CHUNK_BYTES, decode_content=False)


class Conversation:
    """Speaks to one origin, for one thread at a time; one answer is read before the next is asked for.

    `fields` of a request hold no credentials: those come from `credentials`, for this origin alone. The
    certificate that `tls` may show is for this origin too; other hosts see `tls_elsewhere`.
    """

    def __init__(
        self,
        origin: Origin,
        credentials: LoggingIn,
        tls: ssl.SSLContext,
        tls_elsewhere: ssl.SSLContext,
        context: Context,
        limits: ConversationLimits | None = None,
    ) -> None:
        self.origin = origin
        self._credentials = credentials
        self._limits = limits or ConversationLimits()
        self._clocks = Clocks(
            context.check,
            context.moved,
            idle_s=context.patience.idle_s,
            progress_bytes=self._limits.progress_bytes,
        )
        self._border = ErrorBorder(self._clocks)
        self._context = replace(context, check=self._clocks.look)
        self._tls = tls
        self._tls_elsewhere = tls_elsewhere
        self._adapters: dict[Origin, _Adapter] = {}
        self._answer: Answer | None = None

    def ask(
        self,
        method: str,
        target: str,
        *,
        fields: Mapping[str, str] | None = None,
        body: Body | None = None,
        repeatable: bool = False,
    ) -> Answer:
        """The answer to one request, a redirect included, whatever its status.

        `target` is a percent-encoded path with its query. A body that is an iterable is sent as it comes
        and cannot be sent again, so the host's challenge to log in (digest) is then the answer. `repeatable`: the
        request changes nothing at the host whatever its method is, as a question by POST. Raises TransportError's children, and whatever `check` or the body's iterable raises.
        """
        self._clocks.start(self._limits.total_s)
        url = Url(self.origin, target)
        return self._ask(method, url, fields or {}, body, repeatable=repeatable)

    def follow(
        self,
        method: str,
        target: str,
        *,
        fields: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Like `ask`; if the host redirects, returns the answer from there.

        Each hop is dialled like the first, and another origin gets neither credentials nor the body: there
        the redirect is an error. Raises ProtocolViolation, and TlsRefused from https to http.
        """
        self._clocks.start(self._limits.total_s)
        url, fields = Url(self.origin, target), fields or {}
        for _ in range(self._limits.redirects_max + 1):
            answer = self._ask(method, url, fields, body)
            location = answer.head.fields.get("location")
            if answer.status not in REDIRECTS or location is None:
                return answer
            answer.pass_over()
            url = follow_location(url, location)
            if answer.status == 303:
                method, body = "GET" if method != "HEAD" else method, None
            if url.origin != self.origin:
                fields = _fields_for_anyone(fields)
                if body is not None:
                    raise ProtocolViolation("the host leads a request with content to another host")
        raise ProtocolViolation(f"redirected more than {self._limits.redirects_max} times")

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        while self._adapters:
            self._adapters.popitem()[1].close()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(
        self,
        method: str,
        url: Url,
        fields: Mapping[str, str],
        body: Body | None,
        *,
        repeatable: bool = False,
    ) -> Answer:
        repeatable = repeatable or method in _SAFE
        answer = self._ask_once(method, url, fields, body, repeatable=repeatable)
        for _ in range(_CHALLENGES_MAX):
            if not self._answers_challenge(answer, body):
                break
            answer.pass_over()
            answer = self._ask_once(method, url, fields, body, repeatable=repeatable)
        return answer

    def _answers_challenge(self, answer: Answer, body: Body | None) -> bool:
        if answer.status != 401 or answer.url.origin != self.origin:
            return False
        if body is not None and not isinstance(body, bytes):
            return False
        challenge = answer.head.fields.get("www-authenticate", "")
        return self._credentials.take_challenge(challenge)

    def _ask_once(
        self,
        method: str,
        url: Url,
        fields: Mapping[str, str],
        body: Body | None,
        *,
        repeatable: bool,
    ) -> Answer:
        if self._answer is not None:
            self._answer.close()
        url = replace(url, target=_as_sent(url.target))
        if wrong := [name for name in fields if name.lower() in _OURS]:
            raise ValueError(f"the conversation itself decides on the fields {', '.join(wrong)}")
        shown_to_host = {
            **fields,
            **(self._credentials.fields(method, url.target) if url.origin == self.origin else {}),
            "Host": url.origin.authority,
            "User-Agent": "SyncProject",
            "Accept-Encoding": "identity",
        }
        adapter = self._adapter_for(url.origin)
        opened = adapter.opened
        try:
            response, head = self._send(adapter, method, url, shown_to_host, body)
        except ConnectionLost:
            is_kept = adapter.opened == opened
            if not is_kept or not repeatable or not isinstance(body, bytes | None):
                raise
            response, head = self._send(adapter, method, url, shown_to_host, body)
        self._answer = Answer(url, head, response, self._border, self._limits)
        return self._answer

    def _send(
        self,
        adapter: _Adapter,
        method: str,
        url: Url,
        fields: Mapping[str, str],
        body: Body | None,
    ) -> tuple[requests.Response, Head]:
        with self._border:
            content = body if isinstance(body, bytes | None) else self._border.guard(body)
            response = adapter.send(_prepare(method, url, fields, content), stream=True)
            try:
                return response, _head_of(response.raw, method)
            except BaseException:
                response.raw.close()
                raise

    def _adapter_for(self, origin: Origin) -> _Adapter:
        if origin not in self._adapters:
            self._adapters[origin] = _Adapter(origin, lambda: self._connect(origin))
        return self._adapters[origin]

    def _connect(self, origin: Origin) -> ClockedSocket:
        tls = self._tls if origin == self.origin else self._tls_elsewhere
        return ClockedSocket(open_socket(origin, tls, self._context), self._clocks)


def _fields_for_anyone(fields: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in fields.items() if name.lower() in _ANYWHERE}


def _as_sent(target: str) -> str:
    """urllib3 writes escapes in capitals; a log-in by digest is for the very text that is sent."""
    return _ESCAPE.sub(lambda found: found[0].upper(), target)


def _prepare(
    method: str, url: Url, fields: Mapping[str, str], content: Body | None
) -> requests.PreparedRequest:
    request = requests.PreparedRequest()
    text = f"{url.origin.scheme}://{url.origin.authority}"
    request.prepare(method=method, url=text, headers=dict(fields), data=content)
    request.url = text + url.target  # as the log-in was computed for it
    return request


def _head_of(raw: urllib3.BaseHTTPResponse, method: str) -> Head:
    """Reads the head once more, by our rules: whoever frames a body says it once and exactly."""
    lines = [f"HTTP/1.{raw.version % 10} {raw.status}"]
    lines += [f"{name}: {value}" for name, value in raw.headers.iteritems()]
    return parse_head("\r\n".join(lines).encode("latin-1"), method)


class _Response(http.client.HTTPResponse):
    """Passes over every interim answer, and refuses fields that `http.client` would drop."""

    def begin(self) -> None:
        for _ in range(INTERIM_MAX + 1):
            super().begin()
            assert_header_parsing(self.msg)
            if any("\n" in value for value in self.msg.values()):
                raise ProtocolViolation("a header field of the answer runs over several lines")
            if self.status >= 200:
                return
            if self.status == 101:
                raise ProtocolViolation("the host switched protocols unasked")
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first line
        raise Stalled("the host says `continue` without end")


class _Adapter(HTTPAdapter):
    """One kept connection to one origin, opened by `connect`."""

    def __init__(self, origin: Origin, connect: Callable[[], ClockedSocket]) -> None:
        super().__init__(max_retries=0)
        self.opened = 0  # connections, so far

        class Connection(HTTPConnection):
            response_class = _Response

            def connect(connection) -> None:
                self.opened += 1
                connection.sock = connect()  # as much of a socket as is used

        self._pool = HTTPConnectionPool(origin.host, origin.port, maxsize=1)
        self._pool.ConnectionCls = Connection
        self._place = f"{origin.scheme}://{origin.authority}"

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        """TLS is the matter of `connect`, so a plain pool serves both schemes."""
        return self._pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """`connect` verifies the host."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """The target as it is: slashes at its beginning are a part of the path."""
        return (request.url or "").removeprefix(self._place)

    def close(self) -> None:
        self._pool.close()
        super().close()
