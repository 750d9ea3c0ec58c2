"""The socket below FTP's connections, on peers that go away at the worst instant."""

from __future__ import annotations

import gc
import select
import socket
import ssl
import struct

import pytest

from farends.errors import ConnectionLost, TlsRefused
from farends.ftp.socket import FtpSocket, Tls

AT_ONCE = struct.pack("ii", 1, 0)


def test_a_peer_that_is_gone_before_the_handshake_leaves_nothing_open() -> None:
    """As a vanished file does on ProFTPD. A socket that is left to the collector is an error of this suite."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        data = FtpSocket.towards("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        data.secure(Tls(ssl.create_default_context(), "localhost"))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        peer.close()
        poller = select.poll()
        poller.register(data.socket, select.POLLIN)
        assert poller.poll(5_000)
        with pytest.raises(ConnectionLost, match="during the TLS handshake"):
            data.shake()
        data.close()
    gc.collect()


@pytest.mark.parametrize("said", [b"", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_an_end_within_the_handshake_is_no_refusal_but_an_alert_is(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        data = FtpSocket.towards("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        data.secure(Tls(ssl.create_default_context(), "localhost"))
        assert not data.shake()
        peer.recv(64 * 1024)  # what is read is not answered with a reset
        peer.sendall(said)
        peer.close()
        assert select.select([data.socket], [], [], 5)[0]
        with pytest.raises(TlsRefused if said else ConnectionLost):
            data.shake()
        data.close()
