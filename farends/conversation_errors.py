"""What the libraries of HTTP raise, as TransportErrors: each of their exceptions is decided on by name."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

import requests
import urllib3

from farends.errors import (
    ConnectionLost,
    NameNotResolved,
    ProtocolViolation,
    ProxyRefused,
    Stalled,
    TlsRefused,
    TransientError,
    TransportError,
    Truncated,
    Unreachable,
)
from farends.web.clocked_socket import Clocks
from farends.wire.far_text import show


class ErrorBorder:
    """Errors of the libraries leave through here, as TransportErrors.

    What stops the exchange from our side leaves as it is, although a library may have wrapped it:
    what `check` raised, and what the iterable of a body raised.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._stopped_by: BaseException | None = None

    def __enter__(self) -> None:
        self._stopped_by = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(exc, Exception) or isinstance(exc, TransportError):
            return
        stopped_by = self._stopped_by or self._clocks.stopped_by
        if stopped_by is not None:
            raise stopped_by
        if isinstance(exc, _FOREIGN):
            raise meaning_of(exc) from exc

    def guard(self, body: Iterable[bytes]) -> Iterator[bytes]:
        try:
            yield from body
        except Exception as exc:
            self._stopped_by = exc
            raise


def meaning_of(exc: BaseException) -> TransportError:
    """The innermost cause decides: libraries wrap the same lost connection in many ways. Their texts may
    hold a URL with its query, or a header field with its secret; so only a system's own words go along."""
    cause = _innermost(exc)
    kind = next(_MEANINGS[base] for base in type(cause).__mro__ if base in _MEANINGS)
    if isinstance(cause, http.client.BadStatusLine) and kind is ProtocolViolation:
        return kind(f"no HTTP status line: {show(str(cause), 80)}")
    said = cause.strerror if isinstance(cause, OSError) and cause.errno else None
    words = _WORDS.get(kind, "the conversation failed")
    return kind(f"{words}: {show(said)}" if said else words)


def _innermost(exc: BaseException) -> BaseException:
    """The deepest cause that has a meaning."""
    for inner in (*exc.args, getattr(exc, "reason", None), exc.__cause__):
        if isinstance(inner, BaseException) and isinstance(inner, _FOREIGN):
            return _innermost(inner)
    return exc


_FOREIGN = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    urllib3.exceptions.ProxySchemeUnsupported,
    http.client.HTTPException,
    OSError,
    UnicodeError,
)

_WORDS: Mapping[type[TransportError], str] = {
    ConnectionLost: "the connection ended before the answer did",
    ProtocolViolation: "the request or the answer is no HTTP that we speak",
    Truncated: "the answer was cut",
}

# Every class by name: a test walks the libraries and finds one that nobody decided on.
_MEANINGS: Mapping[type[BaseException], type[TransportError]] = {
    OSError: ConnectionLost,
    TimeoutError: Stalled,
    ssl.SSLError: ConnectionLost,  # after the handshake, which `open_socket` maps itself
    UnicodeError: ProtocolViolation,
    http.client.HTTPException: ProtocolViolation,
    http.client.NotConnected: ConnectionLost,
    http.client.InvalidURL: ProtocolViolation,
    http.client.UnknownProtocol: ProtocolViolation,
    http.client.UnknownTransferEncoding: ProtocolViolation,
    http.client.UnimplementedFileMode: ProtocolViolation,
    http.client.IncompleteRead: Truncated,
    http.client.ImproperConnectionState: ConnectionLost,
    http.client.CannotSendRequest: ConnectionLost,
    http.client.CannotSendHeader: ConnectionLost,
    http.client.ResponseNotReady: ConnectionLost,
    http.client.BadStatusLine: ProtocolViolation,
    http.client.LineTooLong: ProtocolViolation,
    http.client.RemoteDisconnected: ConnectionLost,
    urllib3.exceptions.HTTPError: TransientError,
    urllib3.exceptions.PoolError: ConnectionLost,
    urllib3.exceptions.RequestError: ConnectionLost,
    urllib3.exceptions.SSLError: TlsRefused,
    urllib3.exceptions.ProxyError: ProxyRefused,
    urllib3.exceptions.DecodeError: ProtocolViolation,
    urllib3.exceptions.ProtocolError: ConnectionLost,
    urllib3.exceptions.MaxRetryError: ConnectionLost,
    urllib3.exceptions.HostChangedError: ProtocolViolation,
    urllib3.exceptions.TimeoutStateError: Stalled,
    urllib3.exceptions.TimeoutError: Stalled,
    urllib3.exceptions.ReadTimeoutError: Stalled,
    urllib3.exceptions.ConnectTimeoutError: Unreachable,
    urllib3.exceptions.NewConnectionError: Unreachable,
    urllib3.exceptions.NameResolutionError: NameNotResolved,
    urllib3.exceptions.EmptyPoolError: ConnectionLost,
    urllib3.exceptions.FullPoolError: ConnectionLost,
    urllib3.exceptions.ClosedPoolError: ConnectionLost,
    urllib3.exceptions.LocationValueError: ProtocolViolation,
    urllib3.exceptions.LocationParseError: ProtocolViolation,
    urllib3.exceptions.URLSchemeUnknown: ProtocolViolation,
    urllib3.exceptions.ResponseError: ProtocolViolation,
    urllib3.exceptions.ResponseNotChunked: ProtocolViolation,
    urllib3.exceptions.BodyNotHttplibCompatible: ProtocolViolation,
    urllib3.exceptions.IncompleteRead: Truncated,
    urllib3.exceptions.InvalidChunkLength: Truncated,
    urllib3.exceptions.InvalidHeader: ProtocolViolation,
    urllib3.exceptions.ProxySchemeUnknown: ProxyRefused,
    urllib3.exceptions.ProxySchemeUnsupported: ProxyRefused,
    urllib3.exceptions.HeaderParsingError: ProtocolViolation,
    urllib3.exceptions.UnrewindableBodyError: ConnectionLost,
    requests.exceptions.RequestException: TransientError,
    requests.exceptions.InvalidJSONError: ProtocolViolation,
    requests.exceptions.JSONDecodeError: ProtocolViolation,
    requests.exceptions.HTTPError: ProtocolViolation,
    requests.exceptions.ConnectionError: ConnectionLost,
    requests.exceptions.ProxyError: ProxyRefused,
    requests.exceptions.SSLError: TlsRefused,
    requests.exceptions.Timeout: Stalled,
    requests.exceptions.ConnectTimeout: Unreachable,
    requests.exceptions.ReadTimeout: Stalled,
    requests.exceptions.URLRequired: ProtocolViolation,
    requests.exceptions.TooManyRedirects: ProtocolViolation,
    requests.exceptions.MissingSchema: ProtocolViolation,
    requests.exceptions.InvalidSchema: ProtocolViolation,
    requests.exceptions.InvalidURL: ProtocolViolation,
    requests.exceptions.InvalidHeader: ProtocolViolation,
    requests.exceptions.InvalidProxyURL: ProxyRefused,
    requests.exceptions.ChunkedEncodingError: Truncated,
    requests.exceptions.ContentDecodingError: ProtocolViolation,
    requests.exceptions.StreamConsumedError: ProtocolViolation,
    requests.exceptions.RetryError: ConnectionLost,
    requests.exceptions.UnrewindableBodyError: ConnectionLost,
}
