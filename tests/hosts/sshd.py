"""OpenSSH's own server, with three host keys and one user key, serving the current user."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import find_free
from farends.secure_shell.host_keys import Pin
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from tests.hosts.child import find_binary, serving

HOST_KEYS = ("ed25519", "ecdsa", "rsa")


def make_key(path: Path, kind: str, *, passphrase: str = "", form: str = "RFC4716") -> str:
    """Writes a key pair and returns the private key's text. RFC4716 is OpenSSH's own form."""
    subprocess.run(
        [
            find_binary("ssh-keygen"),
            "-q",
            "-t",
            kind,
            "-m",
            form,
            "-N",
            passphrase,
            "-f",
            str(path),
        ],
        check=True,
    )
    return path.read_text()


def _give_rsa_key(path: Path) -> None:
    """The one of this process: it takes up to a second to make, and the other host keys tell hosts apart."""
    private, public = _rsa_pair()
    path.touch(mode=0o600)
    path.write_text(private)
    path.with_suffix(".pub").write_text(public)


@functools.cache
def _rsa_pair() -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rsa")
        return make_key(path, "rsa"), path.with_suffix(".pub").read_text()


def sign_key(authority: Path, public_key: Path, *words: str) -> str:
    """A certificate for a public key, by the authority's private key; returns its line."""
    subprocess.run(
        [find_binary("ssh-keygen"), "-q", "-s", str(authority), *words, str(public_key)], check=True
    )
    return public_key.with_name(f"{public_key.stem}-cert.pub").read_text()


def fingerprint_of(public_key: str) -> str:
    pin = Pin.parse(public_key)
    assert pin is not None
    return pin.fingerprint


@dataclass(frozen=True)
class Sshd:
    port: int
    private_key: str
    host_keys: dict[str, str]  # kind to public key line
    authorized_keys: Path
    authority: Path  # whose user certificates it trusts

    def target(self, folder: Path | str, *, host_key: str | None = None) -> Target:
        options = SftpOptions(
            username=getpass.getuser(),
            root=str(folder),
            host_key=self.host_keys["ed25519"] if host_key is None else host_key,
        )
        return Target("127.0.0.1", self.port, options, SftpSecret(private_key=self.private_key))


@contextlib.contextmanager
def running_sshd(home: Path, *words: str) -> Iterator[Sshd]:
    """`words` are lines of its configuration that win over those below."""
    binary = find_binary("sshd")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = find_free()
    for kind in HOST_KEYS:
        if kind == "rsa":
            _give_rsa_key(home / "host_rsa")
        else:
            make_key(home / f"host_{kind}", kind)
    private_key = make_key(home / "user", "ed25519")
    make_key(home / "authority", "ed25519")
    authorized = home / "authorized_keys"
    authorized.write_text((home / "user.pub").read_text())
    config = home / "sshd_config"
    config.write_text(
        "\n".join(
            [
                *words,
                f"Port {port}",
                "ListenAddress 127.0.0.1",
                *(f"HostKey {home}/host_{kind}" for kind in HOST_KEYS),
                f"AuthorizedKeysFile {authorized}",
                f"TrustedUserCAKeys {home}/authority.pub",
                "PidFile none",
                "StrictModes no",
                "UsePAM no",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "PermitRootLogin yes",
                "MaxStartups 500",
                "MaxSessions 100",
                "LogLevel ERROR",
                "Subsystem sftp internal-sftp",
                "",
            ]
        )
    )
    with serving([binary, "-D", "-e", "-f", str(config)], port, home / "sshd.log"):
        lines = {kind: (home / f"host_{kind}.pub").read_text().strip() for kind in HOST_KEYS}
        yield Sshd(port, private_key, lines, authorized, home / "authority")
