"""Opens the socket of an HTTP conversation: to a judged address, with TLS where the scheme says so."""

from __future__ import annotations

import select
import socket
import ssl
import time

from farends.contract import Context
from farends.errors import ConnectionStage, Stalled
from farends.web.url import Origin
from farends.wire.tls import make_handshake_error

_SLICE_S = 0.5


def open_socket(origin: Origin, tls: ssl.SSLContext, context: Context) -> socket.socket:
    """Dials, and agrees on TLS for the name of an origin of scheme https; then the socket does not block.

    Raises TlsRefused, Stalled, ConnectionLost, and what `Dialer.dial` and `check` raise.
    """
    connected = context.dialer.dial(origin.host, origin.port, timeout_s=context.patience.connect_s)
    if origin.scheme != "https":
        return connected
    return secure_socket(connected, tls, origin.host, context)


def secure_socket(
    connected: socket.socket, tls: ssl.SSLContext, host: str, context: Context
) -> ssl.SSLSocket:
    """Agrees on TLS for the name of the host; the socket does not block then. Closes it where that fails.

    Raises TlsRefused, Stalled, ConnectionLost, and what `check` raises.
    """
    try:
        connected.setblocking(False)
        secured = tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        connected.close()
        raise
    try:
        _shake_hands(secured, context)
    except OSError as exc:
        secured.close()
        raise make_handshake_error(exc, host) from exc
    except BaseException:
        secured.close()
        raise
    return secured


def _shake_hands(secured: ssl.SSLSocket, context: Context) -> None:
    deadline = time.monotonic() + context.patience.log_in_s
    while True:
        try:
            secured.do_handshake()
        except ssl.SSLWantReadError:
            ready = select.POLLIN
        except ssl.SSLWantWriteError:
            ready = select.POLLOUT
        else:
            return
        waiting = select.poll()
        waiting.register(secured, ready)
        waiting.poll(_SLICE_S * 1000)
        context.check()
        if time.monotonic() > deadline:
            raise Stalled("the TLS handshake took too long", stage=ConnectionStage.IDENTITY)
