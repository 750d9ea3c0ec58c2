"""A child's way through a proxy: `python -m farends.rsync.relay FILE` dials and passes bytes on.

rsync and OpenSSH start it in place of a connection of their own. What it needs, credentials of the
proxy included, lies in a file that only this user can read: nothing is in argv or the environment.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import farends
from farends.contract import Context
from farends.dialing import Dialer, Policy
from farends.errors import TransportError
from farends.proxying import Proxy

RELAY_FILE = "relay.json"
_PIECE_BYTES = 256 * 1024


def relay_command(asked: str, port: int, home: Path, context: Context) -> str:
    """Returns a command for a shell that connects to `asked`, which was judged, by the context's proxy."""
    dialer = context.dialer
    if dialer.proxy is None:
        raise ValueError("there is no proxy to go by")
    told = {
        "allowed": [str(network) for network in dialer.policy.allowed],
        "own": [[listener.host, listener.port] for listener in dialer.policy.own],
        "proxy": asdict(dialer.proxy),
        "remote_names": dialer.remote_names,
        "host": asked,
        "port": port,
        "timeout_s": context.patience.connect_s,
    }
    file = home / RELAY_FILE
    file.touch(mode=0o600)
    file.write_text(json.dumps(told))
    code = str(Path(farends.__file__).parents[1])
    return shlex.join(["env", f"PYTHONPATH={code}", sys.executable, "-m", __name__, str(file)])


def relay(file: Path) -> None:
    """Between standard input and output and the far end, until both have ended."""
    told = json.loads(file.read_text())
    dialer = Dialer(
        Policy.parse(told["allowed"], told["own"]),
        proxy=Proxy(**told["proxy"]),
        remote_names=told["remote_names"],
    )
    connected = dialer.dial(told["host"], told["port"], timeout_s=told["timeout_s"])
    connected.settimeout(None)
    threading.Thread(target=_send, args=(connected,), daemon=True).start()
    while data := connected.recv(_PIECE_BYTES):
        _write(data)


def _send(connected: socket.socket) -> None:
    try:
        while data := os.read(0, _PIECE_BYTES):
            connected.sendall(data)
        connected.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other direction tells why


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    try:
        relay(Path(sys.argv[1]))
    except (TransportError, OSError) as exc:
        sys.exit(str(exc))
