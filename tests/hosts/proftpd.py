"""ProFTPD: MLSD, log-in by password; over TLS it wants each data session resumed."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import find_binary, serving

USERNAME = "reader"
PASSWORD = "sesame, open"

_CONFIG = """
ServerName "ProFTPD"
ServerType standalone
DefaultServer on
DefaultAddress 127.0.0.1
SocketBindTight on
UseIPv6 off
Port {port}
User {user}
Group {group}
AuthOrder mod_auth_file.c
AuthUserFile {home}/passwd
RequireValidShell off
UseReverseDNS off
UseFtpUsers off
WtmpLog off
TransferLog none
SystemLog {home}/system.log
PidFile {home}/proftpd.pid
ScoreboardFile {home}/scoreboard
DelayTable none
MaxInstances none
TimesGMT on
RootLogin on
LoadModule mod_digest.c
DigestEngine on
DigestCache off
"""

_TLS = """
LoadModule mod_tls.c
TLSEngine on
TLSRequired on
TLSProtocol {protocol}
TLSRSACertificateFile {certificate}
TLSRSACertificateKeyFile {certificate}
TLSECCertificateFile {certificate}
TLSECCertificateKeyFile {certificate}
TLSLog {home}/tls.log
TLSVerifyClient off
TLSRenegotiate none
"""


@contextlib.contextmanager
def running_proftpd(
    home: Path,
    *,
    certificate: Path | None = None,
    protocol: str = "TLSv1.2 TLSv1.3",
    passive_ports: range | None = None,
) -> Iterator[int]:
    """Yields the port. Serves the whole disk as the user that runs the tests."""
    binary = find_binary("proftpd")
    port = find_free()
    tls = ""
    if certificate is not None:
        tls = _TLS.format(home=home, certificate=certificate, protocol=protocol)
    if passive_ports is not None:
        tls += f"PassivePorts {passive_ports[0]} {passive_ports[-1]}\n"
    config = write_config(home, port, tls)
    with serving([binary, "-n", "-c", str(config)], port, home / "proftpd.log"):
        yield port


def write_config(home: Path, port: int, more: str) -> Path:
    user = pwd.getpwuid(os.geteuid())
    _write_user(home / "passwd", user)
    group = grp.getgrgid(user.pw_gid).gr_name
    config = home / "proftpd.conf"
    config.write_text(_CONFIG.format(home=home, port=port, user=user.pw_name, group=group) + more)
    return config


def _write_user(path: Path, user: pwd.struct_passwd) -> None:
    hashed = subprocess.run(
        [find_binary("openssl"), "passwd", "-6", "-stdin"],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    path.write_text(f"{USERNAME}:{hashed}:{user.pw_uid}:{user.pw_gid}::/:/bin/false\n")
    path.chmod(0o600)
