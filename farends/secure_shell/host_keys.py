"""Pinned SSH host keys: a fingerprint, or a whole public key, against what a host offers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
from dataclasses import dataclass

from farends.errors import HostKeyUnknown

# Each kind of key with the signature algorithms that prove it, best first.
FAMILIES: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


def fingerprint(blob: bytes) -> str:
    """Returns the fingerprint as OpenSSH prints it: `SHA256:` and base64 without padding."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


@dataclass(frozen=True, slots=True)
class Pin:
    """What was approved. `family` is None where only a fingerprint was stored."""

    fingerprint: str
    family: str | None = None

    @classmethod
    def parse(cls, text: str) -> Pin | None:
        """Returns None for the empty text. Raises HostKeyUnknown for what is no pin."""
        words = text.split()
        if not words:
            return None
        if len(words) == 1 and words[0].startswith("SHA256:"):
            return cls(words[0].rstrip("="))
        for family, encoded in itertools.pairwise(words):
            if family in FAMILIES:
                try:
                    return cls(fingerprint(base64.b64decode(encoded, validate=True)), family)
                except binascii.Error:
                    break
        raise HostKeyUnknown(
            "the stored host key is neither a SHA256: fingerprint nor a public key line"
        )

    def families(self) -> list[str]:
        """Kinds of key to negotiate, in order."""
        if self.family is None:
            return list(FAMILIES)
        return [self.family, *(family for family in FAMILIES if family != self.family)]
