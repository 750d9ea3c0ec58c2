"""rsync's own daemon: an open module, one that asks for a password, one that knows no newer checksums."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import find_free
from farends.rsync.transport import RsyncOptions, RsyncSecret
from farends.spec import Target
from tests.hosts.child import find_binary, serving

USERNAME = "reader"
PASSWORD = "sesame, open"


@dataclass(frozen=True)
class Rsyncd:
    port: int
    served: Path
    log: Path  # a line for each file that was sent to its end

    def target(self, folder: Path, *, module: str = "open", password: str = "") -> Target:
        root = f"{module}/{folder.relative_to(self.served).as_posix()}"
        options = RsyncOptions(username=USERNAME, root=root)
        return Target("127.0.0.1", self.port, options, RsyncSecret(password=password))


UNPACKED = Path(
    "/opt/rsync"
)  # deploy/install-test-tools puts the other versions of the archive there


def find_programs() -> dict[str, Path]:
    """Each rsync of this machine, by its version; the one in PATH first."""
    found = shutil.which("rsync")
    programs = ([Path(found)] if found else []) + sorted(UNPACKED.glob("*/usr/bin/rsync"))
    return {_ask_version(program): program for program in programs}


def _ask_version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, check=True, text=True).stdout
    return said.split()[2]


@contextlib.contextmanager
def running_rsyncd(home: Path, served: Path, *, program: Path | None = None) -> Iterator[Rsyncd]:
    """Under root it serves as nobody in a chroot, so that a folder can refuse."""
    port = find_free()
    secrets = home / "rsyncd.secrets"
    secrets.touch(mode=0o600)
    secrets.write_text(f"{USERNAME}:{PASSWORD}\n")
    root = os.geteuid() == 0
    config = home / "rsyncd.conf"
    config.write_text(
        f"""\
port = {port}
address = 127.0.0.1
log file = {home}/rsyncd.log
use chroot = {"yes" if root else "no"}
read only = yes
max connections = 100
lock file = {home}/rsyncd.lock
motd file = {home}/motd
transfer logging = yes
log format = sent %f
{"uid = nobody" if root else ""}
{"gid = nogroup" if root else ""}
[open]
path = {served}
[locked]
path = {served}
auth users = {USERNAME}
secrets file = {secrets}
[old]
path = {served}
refuse options = checksum-choice
"""
    )
    (home / "motd").write_text("-rw-r--r--  1 2020/01/01 00:00:00 not-a-file\n")
    command = [
        str(program or find_binary("rsync")),
        "--daemon",
        "--no-detach",
        f"--config={config}",
    ]
    with serving(command, port, home / "rsyncd.out"):
        yield Rsyncd(port, served, home / "rsyncd.log")
