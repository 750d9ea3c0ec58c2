"""paramiko's transport, with what it lacks: bounds for what the peer sends, and no waiting for itself when
a message has to be answered in mid key exchange.

paramiko believes the length that a packet tells, whatever it is, makes of a packed packet what it unpacks to,
and keeps what comes for a channel although the window is used up. Each is memory that the peer chooses.
"""

from __future__ import annotations

import socket
import threading
import zlib
from collections import deque
from contextlib import suppress
from hashlib import sha1
from typing import Any

import paramiko
from cryptography.hazmat.primitives import hashes
from paramiko.auth_handler import AuthHandler
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA
from paramiko.compress import ZlibCompressor
from paramiko.kex_group14 import KexGroup14SHA256
from paramiko.packet import Packetizer

PACKET_BYTES_MAX = 512 * 1024  # twice the largest that our channels allow
FIRST_PACKET_BYTES_MAX = 64 * 1024  # until the peer has shown its key; RFC 4253 §6.1 says 35,000
BANNER_BYTES_MAX = 128 * 1024
CHANNEL_BYTES_MAX = 32 * 1024 * 1024  # twice the window

OLD_KEY = "ssh-rsa"  # as an algorithm: RSA with SHA-1

_usual: Any = paramiko.Transport  # its types leave out the tables below


_read_all = Packetizer.read_all  # three times for each packet: `super` would be felt


class BoundedPacketizer(Packetizer):
    def __init__(self, sock: object) -> None:
        super().__init__(sock)  # type: ignore[arg-type]  # a connected socket: what the dialer gives
        self._banner_bytes = 0

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > FIRST_PACKET_BYTES_MAX and (n > PACKET_BYTES_MAX or not self._knows_key()):
            raise paramiko.SSHException(f"a packet of {n} bytes")
        return _read_all(self, n, check_rekey)

    def _knows_key(self) -> bool:
        return bool(getattr(self, "_initial_kex_done", False))

    def _read_timeout(self, timeout: float) -> bytes:
        """What comes before the peer's version."""
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._banner_bytes += len(data)
        if self._banner_bytes > BANNER_BYTES_MAX:
            raise paramiko.SSHException("text without end before the version of SSH")
        return data


class _BoundedUnpacking:
    def __init__(self) -> None:
        self._unpacking = zlib.decompressobj()

    def __call__(self, data: bytes) -> bytes:
        unpacked = self._unpacking.decompress(data, PACKET_BYTES_MAX)
        if self._unpacking.unconsumed_tail:
            raise paramiko.SSHException(f"a packet of more than {PACKET_BYTES_MAX} bytes")
        return unpacked


def _take_data(channel: Any, message: paramiko.Message) -> None:
    pipe = channel.in_buffer
    if len(pipe) > CHANNEL_BYTES_MAX:
        raise paramiko.SSHException("more data than the window has room for")
    pipe.feed(message.get_binary())


def _take_extended_data(channel: Any, message: paramiko.Message) -> None:
    if len(channel.in_stderr_buffer) > CHANNEL_BYTES_MAX:
        raise paramiko.SSHException("more complaints than the window has room for")
    channel._feed_extended(message)


class SshLink(paramiko.Transport):
    """Leans on methods and tables inside paramiko, which tests of new keys and of bounds guard.

    New keys are exchanged every 512 MiB. Until they are there, paramiko makes a thread that wants to send
    wait, its own included: a channel's end that arrives meanwhile is answered by the thread that would take
    in the keys, and after 30 s the connection is given up.
    """

    _channel_handler_table = {
        **_usual._channel_handler_table,
        MSG_CHANNEL_DATA: _take_data,
        MSG_CHANNEL_EXTENDED_DATA: _take_extended_data,
    }
    _compression_info = {
        name: (packs and ZlibCompressor, packs and _BoundedUnpacking)
        for name, (packs, _) in _usual._compression_info.items()
    }

    def __init__(self, sock: object, *, window_bytes: int, packet_bytes: int) -> None:
        self._held: deque[paramiko.Message] = deque()
        super().__init__(
            sock,  # type: ignore[arg-type]  # a connected socket: what the dialer gives
            default_window_size=window_bytes,
            default_max_packet_size=packet_bytes,
            packetizer_class=BoundedPacketizer,
        )

    def _send_user_message(self, data: paramiko.Message) -> None:
        if threading.current_thread() is self and not self.clear_to_send.is_set():
            self._held.append(data)
        else:
            super()._send_user_message(data)  # type: ignore[misc]

    def _parse_newkeys(self, m: paramiko.Message) -> None:
        super()._parse_newkeys(m)  # type: ignore[misc]
        while self._held:
            super()._send_user_message(self._held.popleft())  # type: ignore[misc]


class LaterAuth(AuthHandler):
    """paramiko asks for the user-authentication service before each way to log in; hosts that take
    RFC 4253 §10 by its word hang up at the second. This one takes the service as given. It leans on
    two methods inside paramiko, which the prompting host of the tests guards."""

    def _request_auth(self) -> None:
        accepted = paramiko.Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        self._parse_service_accept(accepted)  # type: ignore[attr-defined]


class KexGroup14Sha1(KexGroup14SHA256):
    name = "diffie-hellman-group14-sha1"
    hash_algo = sha1


class _OldRsaKey(paramiko.RSAKey):
    HASHES = {**paramiko.RSAKey.HASHES, OLD_KEY: hashes.SHA1}  # type: ignore[misc]


class OldLink(SshLink):
    """Leans on tables inside paramiko, which the old host of the tests guards."""

    _kex_info = {**_usual._kex_info, KexGroup14Sha1.name: KexGroup14Sha1}
    _key_info = {**_usual._key_info, OLD_KEY: _OldRsaKey}


def sign_with_sha1(key: paramiko.RSAKey, transport: paramiko.Transport) -> None:
    """From here on the key signs as old hosts want it, and the transport says so."""
    setattr(key, "HASHES", _OldRsaKey.HASHES)  # noqa: B010 — its type calls it final
    old: Any = transport
    old._preferred_pubkeys = (OLD_KEY,)


def acknowledge_at_once(transport: paramiko.Transport) -> None:
    """For the next few packets. A server that holds its second small packet back until the first is
    acknowledged (Nagle; OpenSSH's does) else waits for a kernel that acknowledges after 40 ms."""
    if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):  # a connection that has ended is told by its next use
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
