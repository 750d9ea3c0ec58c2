"""vsftpd: no MLSD, so listings go by LIST; over TLS it wants each data session resumed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving

_CONFIG = """listen=YES
background=NO
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
anon_root={folder}
anon_world_readable_only=NO
ftp_username=daemon
secure_chroot_dir={home}/empty
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
xferlog_enable=NO
max_per_ip={sessions}
run_as_launching_user={plain_user}
write_enable=YES
anon_other_write_enable=YES
anon_mkdir_write_enable=YES
"""

_TLS = """ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
rsa_private_key_file={certificate}
"""


@dataclass(frozen=True)
class Vsftpd:
    port: int
    served: Path
    chrooted: bool

    def root(self, folder: Path) -> str:
        """The folder as the host names it."""
        return f"/{folder.relative_to(self.served)}" if self.chrooted else str(folder)


@contextlib.contextmanager
def running_vsftpd(
    home: Path, folder: Path, *, certificate: Path | None = None, sessions: int = 0, lines: str = ""
) -> Iterator[Vsftpd]:
    """Anonymous. `sessions` is how many it grants, 0 for no limit; `lines` are for its configuration."""
    binary = find_binary("vsftpd")
    port = find_free()
    as_root = os.geteuid() == 0
    (home / "empty").mkdir()
    config = home / "vsftpd.conf"
    text = _CONFIG.format(
        home=home,
        port=port,
        folder=folder,
        sessions=sessions,
        plain_user="NO" if as_root else "YES",
    )
    if certificate is not None:
        text += _TLS.format(certificate=certificate)
    config.write_text(text + lines)
    with serving([binary, str(config)], port, home / "vsftpd.log"):
        yield Vsftpd(port, folder, as_root)
