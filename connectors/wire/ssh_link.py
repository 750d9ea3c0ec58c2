"""paramiko's transport, which otherwise waits for itself when a message has to be answered in mid key exchange."""

from __future__ import annotations

import socket
import threading
from collections import deque
from contextlib import suppress

import paramiko


class Link(paramiko.Transport):
    """Leans on two methods inside paramiko, which the test of a connection with new keys guards.

    New keys are exchanged every 512 MiB. Until they are there, paramiko makes a thread that wants to send
    wait, its own included: a channel's end that arrives meanwhile is answered by the thread that would take
    in the keys, and after 30 s the connection is given up.
    """

    def __init__(self, sock: object, *, window_bytes: int, packet_bytes: int) -> None:
        self._held: deque[paramiko.Message] = deque()
        super().__init__(
            sock,  # type: ignore[arg-type]  # a connected socket: what the dialer gives
            default_window_size=window_bytes,
            default_max_packet_size=packet_bytes,
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


def acknowledge_at_once(transport: paramiko.Transport) -> None:
    """For the next few packets. A server that holds its second small packet back until the first is
    acknowledged (Nagle; OpenSSH's does) else waits for a kernel that acknowledges after 40 ms."""
    if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):  # a connection that has ended is told by its next use
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
