"""A TCP socket that never blocks, plain or under TLS: control and data connections are both made of it."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

from farends.addresses import parse_address
from farends.dialing import Policy, tune
from farends.errors import ConnectionLost, ConnectionStage, NetworkForbidden
from farends.proxying import Dialog, Proxy, ask_proxy
from farends.wire.far_text import show
from farends.wire.tls import make_handshake_error

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _TlsSocket(ssl.SSLSocket):
    """Closes itself where its peer has gone while it is made; CPython 3.11 drops it unclosed
    then, by the check that came with gh-108310."""

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError as exc:
            if exc.errno != errno.ENOTCONN:
                raise
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, "reset by the peer") from exc


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS, and the name that the certificate must carry. The context is nobody else's."""

    context: ssl.SSLContext
    host: str

    def __post_init__(self) -> None:
        self.context.sslsocket_class = _TlsSocket


@dataclass(frozen=True, slots=True)
class JudgedHost:
    """The host at the address that was judged, or the proxy that is to connect to it."""

    address: str
    policy: Policy = field(default_factory=Policy)
    proxy: Proxy | None = None
    proxy_address: str = ""
    receive_bytes: int = 0

    def towards(self, port: int) -> FtpSocket:
        """Judges the address once more, because a host names ports of its own choice. Raises NetworkForbidden."""
        self._judge(self.address, port)
        if self.proxy is None:
            return FtpSocket.towards(self.address, port, self.receive_bytes)
        self._judge(self.proxy_address, self.proxy.port)
        made = FtpSocket.towards(self.proxy_address, self.proxy.port, self.receive_bytes)
        made.ask(ask_proxy(self.proxy, self.address, port))
        return made

    def _judge(self, asked: str, port: int) -> None:
        try:
            address = parse_address(asked)
        except ValueError:  # a name that only the proxy knows
            return
        if not self.policy.permits(address, port):
            raise NetworkForbidden(f"{asked}:{port} may not be connected to")


class FtpSocket:
    """`wants` is what to poll for. `ragged` tells that TLS ended without its close_notify: what came
    may be cut off, by anybody between."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket: socket.socket | ssl.SSLSocket = connected
        self.wants = select.POLLIN
        self.ragged = False
        self._tls: Tls | None = None
        self._resumed: ssl.SSLSession | None = None
        self._shaken = True
        self._asking: Dialog | None = None
        self._saying, self._wanted, self._heard = b"", 0, b""

    @classmethod
    def towards(cls, address: str, port: int, receive_bytes: int = 0) -> FtpSocket:
        """Starts a connection to a judged address. A failure shows at the first `receive`."""
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            made.setblocking(False)
            tune(made, receive_bytes)
            made.connect((address, port))
        except BlockingIOError:
            pass
        except OSError as exc:
            made.close()
            raise ConnectionLost(f"no connection to port {port}: {show(str(exc))}") from exc
        return cls(made)

    @property
    def pending(self) -> bool:
        """Whether decrypted bytes wait that no poll tells of."""
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        return self.socket.session if isinstance(self.socket, ssl.SSLSocket) else None

    def ask(self, dialog: Dialog) -> None:
        """Leads a dialog with a proxy first, as bytes come."""
        self._asking, self._shaken = dialog, False
        self._saying, self._wanted = next(dialog)
        self.wants = select.POLLOUT

    def secure(self, tls: Tls, resumed: ssl.SSLSession | None = None) -> None:
        """Starts TLS; the handshake goes on in `shake` as bytes come."""
        self._tls, self._resumed, self._shaken = tls, resumed, False
        self.wants = select.POLLOUT  # connected, or as good as

    def shake(self) -> bool:
        """Goes on with proxy and handshake. Returns whether bytes may flow now; raises TlsRefused, ConnectionLost, and
        what a proxy's answer raises."""
        if self._shaken:
            return True
        if self._asking is not None and not self._converse(self._asking):
            return False
        if self._tls is None:
            self._shaken, self.wants = True, select.POLLIN
            return True
        try:
            if not isinstance(self.socket, ssl.SSLSocket):
                self.socket = self._tls.context.wrap_socket(
                    self.socket,
                    server_hostname=self._tls.host,
                    do_handshake_on_connect=False,
                    suppress_ragged_eofs=False,
                    session=self._resumed,
                )
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.wants = select.POLLIN
        except ssl.SSLWantWriteError:
            self.wants = select.POLLOUT
        except (OSError, ValueError) as exc:
            raise make_handshake_error(exc, self._tls.host) from exc
        else:
            self._shaken = True
            self.wants = select.POLLIN
        return self._shaken

    def _converse(self, dialog: Dialog) -> bool:
        try:
            while True:
                while self._saying:
                    self._saying = self._saying[self.socket.send(self._saying) :]
                data = self.socket.recv(self._wanted - len(self._heard)) if self._wanted else b""
                if not data and self._wanted:
                    raise ConnectionLost(
                        "the proxy ended the connection", stage=ConnectionStage.CONNECT
                    )
                self._heard += data
                if len(self._heard) == self._wanted:
                    heard, self._heard = self._heard, b""
                    self._saying, self._wanted = dialog.send(heard)
        except StopIteration:
            self._asking = None
            return True
        except OSError as exc:
            if not isinstance(exc, BlockingIOError) and exc.errno != errno.ENOTCONN:
                lost = f"the connection to the proxy failed: {show(str(exc))}"
                raise ConnectionLost(lost, stage=ConnectionStage.CONNECT) from exc
            self.wants = select.POLLOUT if self._saying else select.POLLIN
            return False

    def receive(self, limit: int) -> bytes | None:
        """What has come; None when nothing has, b"" at the end. Raises ConnectionLost, TlsRefused."""
        if not self._shaken and not self.shake():
            return None
        try:
            return self.socket.recv(limit)
        except _NOT_NOW:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as exc:
            self.ragged = isinstance(exc, ssl.SSLEOFError)
            return b""
        except OSError as exc:
            if exc.errno in (errno.ENOTCONN, errno.EAGAIN):
                return None
            raise ConnectionLost(f"the connection failed: {show(str(exc))}") from exc

    def send(self, data: bytes | bytearray) -> int:
        """How many bytes went, 0 when none could. Raises ConnectionLost."""
        if self._asking is not None:
            return 0
        try:
            return self.socket.send(data)
        except _NOT_NOW:
            return 0
        except OSError as exc:
            if exc.errno == errno.ENOTCONN:
                return 0  # still connecting
            raise ConnectionLost(f"the connection failed: {show(str(exc))}") from exc

    def close(self) -> None:
        if isinstance(self.socket, ssl.SSLSocket) and self._shaken:
            with contextlib.suppress(OSError, ValueError):
                self.socket.unwrap()  # tells the host that this end is a proper one
        self.socket.close()
