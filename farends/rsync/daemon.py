"""An rsync daemon: found, greeted, then named to the child by the address that was judged."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from farends.contract import Context
from farends.errors import (
    AuthConfig,
    ConnectionLost,
    ConnectionStage,
    ProtocolViolation,
    RootMissing,
    Stalled,
)
from farends.names import encode
from farends.rsync.far import Far, RsyncSource
from farends.rsync.relay import relay_command
from farends.wire.far_text import show

_SLICE_S = 0.5
_GREETING_BYTES_MAX = 4096
_GREETING = b"@RSYNCD: "


@dataclass(frozen=True, slots=True)
class Daemon:
    address: str
    port: int
    username: str
    greeting: str
    clock_skew_s: float | None = None  # a daemon does not tell the time
    clock_error_s: float = 0.0

    def place(self, root: PurePosixPath) -> RsyncSource:
        """`root` is `module/folder`. Raises RootMissing where it names no module."""
        module, _, folder = str(root).strip("/").partition("/")
        if module in ("", ".", "..") or not module.isprintable():
            raise RootMissing("the folder must begin with the name of a module of the daemon")
        user = f"{self.username}@" if self.username else ""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return RsyncSource(f"rsync://{user}{host}:{self.port}/{module}/", encode(folder))


def greet(host: str, port: int, username: str, context: Context) -> Daemon:
    """Connects under the policy and reads the daemon's first line."""
    if not username.isprintable() or any(sign in username for sign in "@/:"):
        raise AuthConfig("the user name holds a sign that rsync cannot carry")
    dialer, wait_s = context.dialer, context.patience.connect_s
    asked = dialer.resolve_elsewhere(host, port)[0] if dialer.proxy else host
    with dialer.dial(asked, port, timeout_s=wait_s) as connected:
        address = asked if dialer.proxy else connected.getpeername()[0].partition("%")[0]
        line = _read_line(connected, context)
    if not line.startswith(_GREETING):
        raise ProtocolViolation(
            f"no rsync daemon: it said {show(line)}", stage=ConnectionStage.CONNECT
        )
    version = show(line.removeprefix(_GREETING).split(b" ")[0].strip())
    return Daemon(address, port, username, f"rsync daemon, protocol {version}")


def daemon_far(daemon: Daemon, password: str, home: Path, context: Context) -> Far:
    """Takes ownership of `home`. The password stands in a file that only this user can read."""
    words = [
        f"--contimeout={max(1, round(context.patience.connect_s))}",
        "--sockopts=TCP_NODELAY",  # its small words otherwise wait for the host's late acknowledgements
    ]
    if password:
        file = home / "password"
        file.touch(mode=0o600)
        file.write_text(password.partition("\n")[0] + "\n")
        words.append(f"--password-file={file}")
    environment = {}
    if context.dialer.proxy is not None:
        way = relay_command(daemon.address, daemon.port, home, context)
        environment["RSYNC_CONNECT_PROG"] = way
    return Far(home, words, context, environment)


def _read_line(connected: socket.socket, context: Context) -> bytes:
    deadline = time.monotonic() + context.patience.log_in_s
    connected.settimeout(_SLICE_S)
    said = b""
    while b"\n" not in said:
        context.check()
        if time.monotonic() > deadline or len(said) > _GREETING_BYTES_MAX:
            raise Stalled(
                "the host sent no greeting of an rsync daemon", stage=ConnectionStage.CONNECT
            )
        try:
            data = connected.recv(_GREETING_BYTES_MAX)
        except TimeoutError:
            continue
        except OSError as exc:
            raise ConnectionLost(
                f"the connection failed: {exc}", stage=ConnectionStage.CONNECT
            ) from exc
        if not data:
            raise ConnectionLost("the host ended the connection", stage=ConnectionStage.CONNECT)
        said += data
    return said.partition(b"\n")[0]
