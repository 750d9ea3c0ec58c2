"""Which TCP ports are free."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from embedded.errors import StackError

# Below the range that Linux hands out to outgoing connections: a server that is restarted on its port
# must not find a client of somebody there.
_OURS = range(20_000, 32_000)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def find_free(host: str = "127.0.0.1") -> int:
    for _ in range(200):
        port = random.choice(_OURS)  # noqa: S311 - nothing to guess
        if is_free(port, host):
            return port
    raise StackError(f"no free TCP port on {host}")


def keep_port(note: Path) -> int:
    """The port noted in the file where it is still free, else another, noted there.

    So a shell that has read stack.env, or a connector that names a sample host, survives a restart.
    """
    try:
        port = int(note.read_text(encoding="ascii"))
    except (OSError, ValueError):
        port = 0
    if port not in _OURS or not is_free(port):
        port = find_free()
        note.write_text(str(port), encoding="ascii")
    return port


def claim_port(variable: str, port: int, host: str = "127.0.0.1") -> int:
    """`port` if it is free, or any free one for 0. Raises StackError that names the variable."""
    if port == 0:
        return find_free(host)
    if not is_free(port, host):
        raise StackError(
            f"port {port} on {host} is taken: set {variable} to another (0 takes a free one)"
        )
    return port
