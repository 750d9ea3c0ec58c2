"""Connections that a jump host makes for us: channels that stand in for sockets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import paramiko

from farends.contract import Context
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    Stalled,
    TransportError,
    Unreachable,
)
from farends.wire.blocking import run_watched
from farends.wire.far_text import show

_WINDOW_BYTES = 2 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_PROHIBITED = 1  # RFC 4254 §5.1
_FROM = ("127.0.0.1", 0)


class Tunnel:
    """What paramiko needs of a socket. Reads ahead, because paramiko asks for a few bytes at a time and
    each look into a channel costs what the channel holds."""

    def __init__(self, jump: paramiko.Transport, channel: paramiko.Channel, asked: str) -> None:
        self.jump = jump
        self.asked = asked
        self.on_close: Callable[[], None] | None = None  # ends the session with the jump host
        self._channel = channel
        self._ahead = b""
        self._at = 0

    @property
    def _closed(self) -> bool:
        return bool(self._channel.closed)

    def settimeout(self, timeout_s: float | None) -> None:
        self._channel.settimeout(timeout_s)

    def recv(self, count: int) -> bytes:
        if self._at >= len(self._ahead):
            self._ahead, self._at = self._channel.recv(_READ_BYTES), 0
        data = self._ahead[self._at : self._at + count]
        self._at += len(data)
        return data

    def send(self, data: bytes) -> int:
        return int(self._channel.send(data))

    def getpeername(self) -> Any:
        return self._channel.getpeername()

    def close(self) -> None:
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            self._channel.close()  # says goodbye, also where nobody hears it any more
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close()


class Tunnels:
    """The tunnels of one session with a jump host; `close` ends the session."""

    def __init__(
        self, jump: paramiko.Transport, close: Callable[[], None], context: Context
    ) -> None:
        self._jump = jump
        self._close = close
        self._context = context

    def dial(self, host: str, port: int) -> Tunnel:
        """Raises NameNotResolved and NetworkForbidden as judged here, Unreachable as told there."""
        last: TransportError | None = None
        connect_s = self._context.patience.connect_s
        deadline = time.monotonic() + connect_s
        for asked in self._context.dialer.resolve_elsewhere(host, port, within_s=connect_s):
            try:
                return self._open(asked, port, max(1.0, deadline - time.monotonic()))
            except Unreachable as exc:
                last = exc
        raise last or Unreachable(f"{host}:{port} did not answer")

    def _open(self, asked: str, port: int, connect_s: float) -> Tunnel:
        def start() -> paramiko.Channel:
            return self._jump.open_channel(
                "direct-tcpip",
                (asked, port),
                _FROM,
                window_size=_WINDOW_BYTES,
                timeout=connect_s,
            )

        try:
            channel = run_watched(
                start,
                check=self._context.check,
                cancel=self._close,
                limit_s=connect_s + 1,
                doing=f"connecting to {asked}:{port} from the jump host",
            )
        except Stalled as exc:
            raise Unreachable(str(exc)) from exc
        except paramiko.ChannelException as exc:
            raise _refused(exc, f"{asked}:{port}") from exc
        except (paramiko.SSHException, EOFError, OSError) as exc:
            told = show(str(exc)) or type(exc).__name__
            lost = f"the connection to the jump host failed: {told}"
            raise ConnectionLost(lost, stage=ConnectionStage.CONNECT) from exc
        return Tunnel(self._jump, channel, asked)


def _refused(exc: paramiko.ChannelException, place: str) -> TransportError:
    if exc.code == _PROHIBITED:
        return PermissionRefused(
            f"the jump host does not let this user connect to {place}",
            stage=ConnectionStage.CONNECT,
        )
    return Unreachable(f"the jump host cannot reach {place}: {show(exc.text)}")
