"""rsync over SSH: our own log-in first, then OpenSSH for the child, held to the same host and key."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import paramiko
from cryptography.hazmat.primitives import serialization

from connectors.contract import Context
from connectors.errors import AuthConfig, ProtocolViolation, Stage
from connectors.names import encode
from connectors.wire.host_keys import FAMILIES
from connectors.wire.rsync_far import Far, Place
from connectors.wire.shell_channel import ShellSession
from connectors.wire.shell_scripts import Script
from connectors.wire.shown import shown
from connectors.wire.ssh_auth import Login
from connectors.wire.ssh_session import close_session, open_session

_ALIAS = "far"
_PROBE = Script('printf "%s" "$1"; printf "%s" "$1" >&2; pwd; echo "$(date +%s)"; rsync --version')
_ANSWER_BYTES_MAX = 64 * 1024
_CONFIG = """\
Host {alias}
  HostName {address}
  Port {port}
  User "{username}"
  HostKeyAlias {alias}
  HostKeyAlgorithms {algorithms}
  UserKnownHostsFile "{home}/known_hosts"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  VerifyHostKeyDNS no
  BatchMode yes
  IdentityFile "{home}/key"
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  ClearAllForwardings yes
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  ProxyCommand none
  ControlMaster no
  ControlPath none
  Ciphers ^aes128-gcm@openssh.com
  ConnectTimeout {connect_s}
  ServerAliveInterval 15
  LogLevel ERROR
"""


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host that was logged in to, and that has rsync."""

    address: str
    port: int
    host_key: paramiko.PKey
    login_folder: str
    server_software: str
    clock_skew_s: float | None
    clock_error_s: float

    def place(self, root: PurePosixPath) -> Place:
        folder = PurePosixPath(self.login_folder) / root
        return Place(f"{_ALIAS}:/", encode(str(folder).lstrip("/")))


def meet(host: str, port: int, pin: str, login: Login, context: Context) -> SshHost:
    """Logs in once, with everything that a wrong key or secret is told by, and looks for rsync."""
    if not login.private_key:
        raise AuthConfig("rsync over SSH logs in by private key; the connector has none")
    transport = open_session(host, port, pin, login, context)
    try:
        asked_at = time.time()
        lines = _ask(ShellSession(transport, context))
        answered_at = time.time()
        if len(lines) < 3 or b"rsync" not in lines[2] or not lines[0].startswith(b"/"):
            raise ProtocolViolation(
                "there is no rsync on the host for this user", stage=Stage.LOG_IN
            )
        return SshHost(
            address=str(transport.sock.getpeername()[0]),
            port=port,
            host_key=transport.get_remote_server_key(),
            login_folder=lines[0].decode("utf-8", "surrogateescape"),
            server_software=f"{shown(transport.remote_version)}; {shown(lines[2])}",
            clock_skew_s=_skew_s(lines[1], (asked_at + answered_at) / 2),
            clock_error_s=round((answered_at - asked_at) / 2 + 0.5, 3),
        )
    finally:
        close_session(transport)


def ssh_far(met: SshHost, login: Login, home: Path, context: Context) -> Far:
    """Takes ownership of `home`, where the key lies while the transport is open, for this user alone."""
    if not login.username.isprintable() or any(sign in login.username for sign in "\"'\\ %$"):
        raise AuthConfig("the user name holds a sign that OpenSSH cannot carry")
    key = home / "key"
    key.touch(mode=0o600)
    key.write_bytes(_openssh_text(login))
    name = met.host_key.get_name()
    (home / "known_hosts").write_text(f"{_ALIAS} {name} {met.host_key.get_base64()}\n")
    config = _CONFIG.format(
        alias=_ALIAS,
        address=met.address,
        port=met.port,
        username=login.username,
        algorithms=",".join(FAMILIES[name]),
        home=home,
        connect_s=max(1, round(context.patience.connect_s)),
    )
    (home / "ssh_config").write_text(config)
    return Far(home, ["-e", f"ssh -F {shlex.quote(str(home / 'ssh_config'))}"], context)


def _ask(session: ShellSession) -> list[bytes]:
    channel = session.run(_PROBE, stage=Stage.LOG_IN)
    try:
        channel.end_input()
        said = b""
        while (data := channel.receive()) and len(said) < _ANSWER_BYTES_MAX:
            said += data
    finally:
        channel.close()
    return said.split(b"\n")


def _skew_s(clock: bytes, here_s: float) -> float | None:
    """`date` tells the second that has begun."""
    return round(int(clock) + 0.5 - here_s, 1) if clock.isdigit() else None


def _openssh_text(login: Login) -> bytes:
    """The private key, which `open_session` has found to be good, without its passphrase."""
    cleaned = (login.private_key.replace("\r\n", "\n").strip() + "\n").encode()
    password = login.passphrase.encode() or None
    is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in cleaned
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    try:
        try:
            key = load(cleaned, password)
        except TypeError:
            key = load(cleaned, None)  # a passphrase was stored for a key that has none
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    except (ValueError, TypeError):
        raise AuthConfig("the private key cannot be read") from None
