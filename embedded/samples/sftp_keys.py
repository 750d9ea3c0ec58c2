"""Finds the sample SFTP host's keys, and the fingerprint to pin."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

USER = "sample"


def host_key(folder: Path) -> Path:
    return folder / "sftp_host_key"


def client_key(folder: Path) -> Path:
    """The private key that may log in as USER."""
    return folder / "sftp_client_key"


def read_fingerprint(folder: Path) -> str:
    """Reads the fingerprint of the host's key, as OpenSSH prints it. The host must have run once."""
    line = host_key(folder).with_suffix(".pub").read_text(encoding="ascii")
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")
