"""Private keys as people paste them, made into paramiko's. No error carries a byte of the key."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.pkey import PublicBlob

from farends.errors import AuthConfig

_Usable = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_OPENSSH_MARK = "BEGIN OPENSSH PRIVATE KEY"


def load_private_key(text: str, passphrase: str, certificate: str = "") -> paramiko.PKey:
    """OpenSSH, PKCS#1, PKCS#8 or SEC1 text; with a certificate, the key presents that. Raises AuthConfig.

    Errors below are raised `from None`: the libraries' own texts may quote what they could not read.
    """
    if "PuTTY-User-Key-File" in text:
        raise AuthConfig("the private key is in PuTTY's format; export it as an OpenSSH key first")
    cleaned = text.replace("\r\n", "\n").strip() + "\n"
    password = passphrase.encode() or None
    key = _parse(cleaned, password)
    if not isinstance(key, _Usable):
        raise AuthConfig("the private key is of a type that is not supported; use Ed25519")
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    try:
        made = _wrapper(key).from_private_key(io.StringIO(plain.decode("ascii")))
    except (paramiko.SSHException, ValueError):
        raise AuthConfig("the private key is of a form that is not supported") from None
    if certificate.strip():
        _read_certificate(certificate, key)
        # Not by `load_certificate`, which would take the text for a path where there is such a file.
        made.public_blob = PublicBlob.from_string(" ".join(certificate.split()))
    return made


def find_certificate_end(certificate: str) -> str:
    """When a certificate's validity ended, as words; empty where it has not."""
    try:
        ends_s = _parse_certificate(certificate).valid_before
    except (ValueError, UnsupportedAlgorithm):
        return ""
    if ends_s > time.time():
        return ""
    return datetime.fromtimestamp(ends_s, UTC).strftime(
        "the certificate ended at %Y-%m-%d %H:%M UTC"
    )


def _read_certificate(text: str, key: _Usable) -> None:
    try:
        found = _parse_certificate(text)
    except (ValueError, UnsupportedAlgorithm):
        raise AuthConfig(
            "the certificate cannot be read: it is the one line of a file named …-cert.pub"
        ) from None
    if found.type is not serialization.SSHCertificateType.USER:
        raise AuthConfig("the certificate is one for hosts, not for users")
    if _public_bytes(found.public_key()) != _public_bytes(key.public_key()):
        raise AuthConfig("the certificate belongs to another private key")


def _parse_certificate(text: str) -> serialization.SSHCertificate:
    found = serialization.load_ssh_public_identity(" ".join(text.split()).encode())
    if not isinstance(found, serialization.SSHCertificate):
        raise ValueError("a public key")  # noqa: TRY004 — like the library's own
    return found


def _public_bytes(key: serialization.SSHCertPublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)


def _wrapper(key: _Usable) -> type[paramiko.PKey]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return paramiko.Ed25519Key
    return paramiko.RSAKey if isinstance(key, rsa.RSAPrivateKey) else paramiko.ECDSAKey


def _parse(text: str, password: bytes | None) -> object:
    load = (
        serialization.load_ssh_private_key
        if _OPENSSH_MARK in text
        else serialization.load_pem_private_key
    )
    try:
        try:
            return load(text.encode(), password)
        except TypeError:
            if password is None:
                raise AuthConfig("the private key needs its passphrase") from None
            return load(text.encode(), None)  # a passphrase was stored for a key that has none
    except UnsupportedAlgorithm:
        raise AuthConfig("the private key is of a type that is not supported") from None
    except (ValueError, TypeError):
        raise AuthConfig(
            "the private key cannot be read: cut off, altered, or the passphrase is wrong"
        ) from None
