"""What the two ends of an SSH connection may agree on: ciphers, compression, and old algorithms."""

from __future__ import annotations

from dataclasses import dataclass

import paramiko

from farends.secure_shell.host_keys import FAMILIES
from farends.secure_shell.paramiko_names import (
    OLD_KEY,
    KexGroup14Sha1,
    OldLink,
    SshLink,
    sign_with_sha1,
)

_SAFE = (
    "aes128-gcm@openssh.com",  # first: one pass in hardware, and no code for authentication beside it
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_OLD = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
CIPHERS = (*_SAFE, *_OLD)
_OLD_MACS = frozenset({"hmac-md5", "hmac-sha1-96", "hmac-md5-96"})


@dataclass(frozen=True, slots=True)
class SshTerms:
    """`ciphers` empty: the safe ones. `legacy` adds what old hosts need, behind all that is better."""

    compression: bool = False
    ciphers: tuple[str, ...] = ()
    legacy: bool = False

    @property
    def allowed_ciphers(self) -> tuple[str, ...]:
        return self.ciphers or (CIPHERS if self.legacy else _SAFE)

    def old_host_keys(self, family: str) -> tuple[str, ...]:
        """Algorithms that prove a kind of host key to old software only."""
        return (OLD_KEY,) if self.legacy and family == "ssh-rsa" else ()

    @property
    def warning(self) -> str:
        """A warning for people who read about the far end; empty if all is well."""
        return "; old algorithms are allowed, which can be broken" if self.legacy else ""

    @property
    def transport_class(self) -> type[SshLink]:
        return OldLink if self.legacy else SshLink

    def apply(self, transport: paramiko.Transport, families: list[str]) -> None:
        """Before the key exchange. `families` are the kinds of host key to ask for, in order."""
        options = transport.get_security_options()
        options.ciphers = self.allowed_ciphers
        options.key_types = tuple(
            name for family in families for name in (*FAMILIES[family], *self.old_host_keys(family))
        )
        if self.legacy:
            options.kex = (*options.kex, KexGroup14Sha1.name)
        else:
            options.digests = tuple(mac for mac in options.digests if mac not in _OLD_MACS)
        transport.use_compression(self.compression)

    def signed_as_before(self, transport: paramiko.Transport) -> bool:
        return tuple(transport.preferred_pubkeys) == (OLD_KEY,)

    def sign_as_before(self, key: paramiko.PKey, transport: paramiko.Transport) -> bool:
        """After a refusal: where allowed, makes the key sign with SHA-1, which is all that old hosts
        know of RSA, whatever they say. False where there is nothing else to try."""
        if not self.legacy or not isinstance(key, paramiko.RSAKey):
            return False
        sign_with_sha1(key, transport)
        return True


USUAL = SshTerms()
