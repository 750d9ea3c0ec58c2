"""rsync over SSH: our own log-in first, then OpenSSH for the child, held to the same host and key."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import paramiko
from cryptography.hazmat.primitives import serialization

from farends.contract import Context
from farends.errors import AuthConfig, ConnectionStage, ProtocolViolation
from farends.names import encode
from farends.rsync.far import Far, RsyncSource
from farends.rsync.relay import relay_command
from farends.secure_shell.auth import SshLogin
from farends.secure_shell.commands import ShellSession
from farends.secure_shell.end import SshEnd
from farends.secure_shell.host_keys import FAMILIES
from farends.secure_shell.scripts import Script
from farends.secure_shell.session import close_session, open_ssh_session
from farends.secure_shell.tunnel import Tunnel
from farends.wire.far_text import show

_ALIAS, _JUMP = "far", "jump"
_OLD_KEX = "KexAlgorithms +diffie-hellman-group14-sha1"
_OLD_SIGNATURE = "PubkeyAcceptedAlgorithms ssh-rsa,ssh-rsa-cert-v01@openssh.com"
_PROBE = Script('pwd; echo "$(date +%s)"; rsync --version; printf "\\0"')
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
  IdentityFile "{key}"
  {certificate}
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  ClearAllForwardings yes
  ForwardAgent no
  ForwardX11 no
  PermitLocalCommand no
  {way}
  ControlMaster no
  ControlPath none
  Ciphers {ciphers}
  Compression {compression}
  {old_kex}
  {old_signature}
  ConnectTimeout {connect_s}
  ServerAliveInterval 15
  LogLevel ERROR
"""


@dataclass(frozen=True, slots=True)
class Hop:
    """An SSH host at the address that was judged, and the key that it has shown."""

    end: SshEnd
    address: str
    host_key: paramiko.PKey
    old_signature: bool  # it took none but RSA with SHA-1


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host that was logged in to, and that has rsync; then the jump host, where there is one."""

    hops: list[Hop]
    login_folder: str
    server_software: str
    clock_skew_s: float | None
    clock_error_s: float

    def place(self, root: PurePosixPath) -> RsyncSource:
        folder = PurePosixPath(self.login_folder) / root
        return RsyncSource(f"{_ALIAS}:/", encode(str(folder).lstrip("/")))


def meet(end: SshEnd, context: Context) -> SshHost:
    """Logs in once, with everything that a wrong key or secret is told by, and looks for rsync."""
    if not end.login.private_key:
        raise AuthConfig("rsync over SSH logs in by private key; the connector has none")
    if end.jump is not None and not end.jump.login.private_key:
        raise AuthConfig("rsync over SSH logs in to the jump host by private key; there is none")
    transport = open_ssh_session(end, context)
    try:
        asked_at = time.time()
        lines = _ask(ShellSession(transport, context))
        answered_at = time.time()
        if len(lines) < 3 or b"rsync" not in lines[2] or not lines[0].startswith(b"/"):
            raise ProtocolViolation(
                "there is no rsync on the host for this user", stage=ConnectionStage.LOG_IN
            )
        return SshHost(
            hops=list(_hops(end, transport, context)),
            login_folder=lines[0].decode("utf-8", "surrogateescape"),
            server_software=f"{show(transport.remote_version)}; {show(lines[2])}",
            clock_skew_s=_skew_s(lines[1], (asked_at + answered_at) / 2),
            clock_error_s=round((answered_at - asked_at) / 2 + 0.5, 3),
        )
    finally:
        close_session(transport)


def _hops(end: SshEnd, transport: paramiko.Transport, context: Context) -> Iterator[Hop]:
    """The host, and the jump host that was gone by; both as they were met."""
    tunnel = transport.sock if isinstance(transport.sock, Tunnel) else None
    if tunnel is not None:
        address = tunnel.asked
    elif context.dialer.proxy is not None:
        address = context.dialer.resolve_elsewhere(end.host, end.port)[0]
    else:
        address = str(transport.sock.getpeername()[0])
    old_signature = end.terms.signed_as_before(transport)
    yield Hop(end, address, transport.get_remote_server_key(), old_signature)
    if tunnel is not None and end.jump is not None:
        yield from _hops(end.jump, tunnel.jump, context)


def ssh_far(met: SshHost, home: Path, context: Context) -> Far:
    """Takes ownership of `home`, where the keys lie while the transport is open, for this user alone."""
    blocks = []
    for hop, alias in zip(met.hops, (_ALIAS, _JUMP), strict=False):
        if hop is not met.hops[-1]:
            way = f"ProxyJump {_JUMP}"
        elif context.dialer.proxy is not None:
            way = f"ProxyCommand {relay_command(hop.address, hop.end.port, home, context)}"
        else:
            way = "ProxyCommand none"
        blocks.append(_block(hop, alias, way, home, context))
    (home / "ssh_config").write_text("\n".join(blocks))
    return Far(home, ["-e", f"ssh -F {shlex.quote(str(home / 'ssh_config'))}"], context)


def _block(hop: Hop, alias: str, way: str, home: Path, context: Context) -> str:
    login, terms = hop.end.login, hop.end.terms
    if not login.username.isprintable() or any(sign in login.username for sign in "\"'\\ %$"):
        raise AuthConfig("the user name holds a sign that OpenSSH cannot carry")
    key = home / f"{alias}.key"
    key.touch(mode=0o600)
    key.write_bytes(_openssh_text(login))
    certificate = ""
    if login.certificate:
        file = home / f"{alias}.cert"
        file.write_text(" ".join(login.certificate.split()) + "\n")
        certificate = f'CertificateFile "{file}"'
    name = hop.host_key.get_name()
    with (home / "known_hosts").open("a") as known:
        known.write(f"{alias} {name} {hop.host_key.get_base64()}\n")
    return _CONFIG.format(
        alias=alias,
        address=hop.address,
        port=hop.end.port,
        username=login.username,
        algorithms=",".join((*FAMILIES[name], *terms.old_host_keys(name))),
        home=home,
        key=key,
        certificate=certificate,
        way=way,
        ciphers=",".join(terms.allowed_ciphers),
        compression="yes" if terms.compression else "no",
        old_kex=_OLD_KEX if terms.legacy else "",
        old_signature=_OLD_SIGNATURE if hop.old_signature else "",
        connect_s=max(1, round(context.patience.connect_s)),
    )


def _ask(session: ShellSession) -> list[bytes]:
    channel = session.run(_PROBE, stage=ConnectionStage.LOG_IN)
    try:
        return channel.answer().split(b"\n")
    finally:
        channel.close()


def _skew_s(clock: bytes, here_s: float) -> float | None:
    """`date` tells the second that has begun."""
    return round(int(clock) + 0.5 - here_s, 1) if clock.isdigit() else None


def _openssh_text(login: SshLogin) -> bytes:
    """The private key, which `open_ssh_session` has found to be good, without its passphrase."""
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
