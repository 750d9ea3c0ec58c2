"""An SSH host as the options and secret of a connector name it, with the jump host before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from farends.errors import AuthConfig
from farends.reaching import Reach, ReachSecret
from farends.secure_shell.auth import SshLogin
from farends.secure_shell.terms import CIPHERS, USUAL, SshTerms
from farends.spec import Target, Waypoint, option
from farends.wire.key_faults import find_key_fault


def _check_ciphers(names: tuple[str, ...]) -> None:
    unknown = [name for name in names if name not in CIPHERS]
    if unknown:
        raise ValueError(f"has {unknown[0]!r}; there are {', '.join(CIPHERS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshReach(Reach):
    """Options of the kinds that go over SSH."""

    host_key: str = option(
        "Host key",
        "SHA256:… fingerprint or ssh-ed25519 AAAA… line. Without it nothing is sent to the host over"
        " SSH; the connection test shows the key that the host offers.",
        default="",
        late=True,
        pins="host",
    )
    jump_host: str = option(
        "Jump host",
        "An SSH host that is logged in to first and that connects to the host from there."
        " If you change it, enter the secret again.",
        default="",
        advanced=True,
    )
    jump_port: int = option(
        "Port of the jump host",
        "Where its SSH listens.",
        default=22,
        advanced=True,
        least=1,
        most=65_535,
    )
    jump_username: str = option(
        "User name on the jump host", "Empty: the same as on the host.", default="", advanced=True
    )
    jump_host_key: str = option(
        "Key of the jump host",
        "Like the host key: pinned once, and checked before anything is sent.",
        default="",
        advanced=True,
        pins="jump host",
    )
    compression: bool = option(
        "Compression", "Worth it on slow lines only.", default=False, advanced=True
    )
    ciphers: tuple[str, ...] = option(
        "Ciphers",
        "The only ones to use, best first; with none named, those that are safe and fast.",
        default=(),
        advanced=True,
        check=_check_ciphers,
    )
    legacy_algorithms: bool = option(
        "Allow old algorithms",
        "SHA-1, CBC and ssh-rsa, for hosts that know nothing better. They can be broken: whoever"
        " stands between may read along or pose as the host.",
        default=False,
        advanced=True,
    )

    def jump(self) -> Waypoint | None:
        if not self.jump_host:
            return None
        host = self.jump_host.lower()
        return Waypoint(f"ssh://{host}:{self.jump_port}", host, self.jump_port)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SshReachSecret(ReachSecret):
    """Secrets of the kinds that go over SSH."""

    private_key: str = option(
        "Private key",
        "Ed25519, ECDSA or RSA; OpenSSH or PEM.",
        default="",
        late=True,
        has_lines=True,
        proofread=find_key_fault,
        opened_by="passphrase",
    )
    passphrase: str = option(
        "Passphrase of the private key", "Empty where the key has none.", default="", late=True
    )
    certificate: str = option(
        "Certificate of the private key",
        "The line of a …-cert.pub file, for hosts that trust the authority that signed it.",
        default="",
        advanced=True,
        has_lines=True,
    )
    jump_password: str = option(
        "Password on the jump host",
        "Used where there is no private key for it.",
        default="",
        advanced=True,
    )
    jump_private_key: str = option(
        "Private key for the jump host",
        "Where neither this nor a password is given, the host's own key serves for both.",
        default="",
        advanced=True,
        has_lines=True,
        proofread=find_key_fault,
        opened_by="jump_passphrase",
    )
    jump_passphrase: str = option(
        "Passphrase of the jump host's key",
        "Empty where the key has none.",
        default="",
        advanced=True,
    )
    jump_certificate: str = option(
        "Certificate of the jump host's key",
        "Like that of the private key.",
        default="",
        advanced=True,
        has_lines=True,
    )


@dataclass(frozen=True, slots=True, repr=False)
class SshEnd:
    """`pin` is the text of the option that `pin_option` names."""

    host: str
    port: int
    pin: str
    pin_option: str
    login: SshLogin
    terms: SshTerms = USUAL
    jump: SshEnd | None = None


def ssh_end(target: Target) -> SshEnd:
    options: Any = target.options
    secret: Any = target.secret
    terms = SshTerms(options.compression, tuple(options.ciphers), options.legacy_algorithms)
    login = SshLogin(
        options.username,
        secret.password,
        secret.private_key,
        secret.passphrase,
        secret.certificate,
    )
    end = SshEnd(target.host, target.port, options.host_key, "host_key", login, terms)
    if not options.jump_host:
        return end
    at_jump = SshLogin(
        options.jump_username or options.username,
        secret.jump_password,
        secret.jump_private_key,
        secret.jump_passphrase,
        secret.jump_certificate,
    )
    if not (at_jump.password or at_jump.private_key):
        # A key may be shown to both; the host's password is for the host alone.
        at_jump = replace(login, username=at_jump.username, password="")
    jump = SshEnd(
        options.jump_host,
        options.jump_port,
        options.jump_host_key,
        "jump_host_key",
        at_jump,
        terms,
    )
    return replace(end, jump=jump)


def refuse_jump(options: SshReach) -> None:
    """Refuses a jump host for connections without SSH. Raises AuthConfig."""
    if options.jump_host:
        raise AuthConfig("a jump host serves rsync over SSH only: set over_ssh, or take it away")
