"""Says what is wrong with a private key as a person pasted it. No word of it carries a byte of the key."""

from __future__ import annotations

import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{0,40}?)-----")
_PUBLIC_LINE = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]{3,60} AAAA")
_CERTIFIED_LINE = re.compile(r"[a-z0-9@.-]{3,60}-cert-v01@openssh\.com AAAA")


def find_key_fault(text: str, passphrase: str) -> str:
    """Words that follow the field's name; empty where the key opens. OpenSSH, PKCS#1, PKCS#8 and SEC1 are read."""
    text = text.replace("\r\n", "\n").strip()
    return _find_shape_fault(text) or _find_content_fault(text, passphrase)


def _find_shape_fault(text: str) -> str:
    if _CERTIFIED_LINE.match(text):
        return "is a certificate: it goes into its own field; here goes the file without .pub"
    if _PUBLIC_LINE.match(text):
        return "is the public key: paste the other file, the one without .pub"
    if "PuTTY-User-Key-File" in text:
        return "is in PuTTY's format: export it as an OpenSSH key (PuTTYgen: Conversions)"
    begin = _BEGIN.search(text)
    if begin is None:
        return "does not begin with a line -----BEGIN … PRIVATE KEY-----: paste the whole file"
    what = begin[1]
    if not what.endswith("PRIVATE KEY"):
        return f"is no private key: its first line says {what or 'nothing'}"
    if begin.start():
        return f"has other text before the line -----BEGIN {what}-----: paste only the key"
    end = f"-----END {what}-----"
    if end not in text:
        return f"is cut off: its last line, {end}, is missing"
    if text.count("\n") < 2:
        return "has lost its line ends: paste it as the file has it"
    return ""


def _find_content_fault(text: str, passphrase: str) -> str:
    is_openssh = "BEGIN OPENSSH PRIVATE KEY" in text
    load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
    raw = (text + "\n").encode()
    try:
        try:
            load(raw, passphrase.encode() or None)
        except TypeError:
            if not passphrase:
                return "needs its passphrase: enter it below"
            load(raw, None)  # a passphrase was given for a key that has none
    except UnsupportedAlgorithm:
        return "is of a type that is not supported: use Ed25519"
    except (ValueError, TypeError):
        if passphrase:
            return "does not open: the passphrase is another one, or the text was altered"
        return "cannot be read: some of its text is missing or was altered"
    return ""
