"""Makes TLS contexts: whom to trust, and which certificate of our own to show."""

from __future__ import annotations

import secrets
import ssl
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from farends.errors import AuthConfig, ConnectionLost, ConnectionStage, TlsRefused, TransportError
from farends.spec import option
from farends.wire.far_text import show
from farends.wire.key_faults import find_key_fault

_PEM = serialization.Encoding.PEM


@dataclass(
    frozen=True, kw_only=True, repr=False
)  # no slots: it is mixed into classes that have them
class PrivateAuthority:
    """Whom to trust where it is not the system's authorities."""

    ca_certificate: str = option(
        "CA certificate",
        "PEM text of a private authority; then no other is trusted.",
        default="",
        late=True,
        has_lines=True,
    )


@dataclass(frozen=True, kw_only=True, repr=False)
class ClientCertificate:
    """What is shown to hosts that ask who is there."""

    client_certificate: str = option(
        "Client certificate",
        "PEM text for hosts that ask for one, with the certificates of its authorities below it.",
        default="",
        advanced=True,
        has_lines=True,
    )
    client_private_key: str = option(
        "Private key of the client certificate",
        "PEM text.",
        default="",
        advanced=True,
        has_lines=True,
        proofread=find_key_fault,
        opened_by="client_passphrase",
    )
    client_passphrase: str = option(
        "Passphrase of that private key", "Empty where the key has none.", default="", advanced=True
    )


def trusting_system() -> ssl.SSLContext:
    """For who changes nothing of it: the system's authorities take 50 ms to read, so all share one reading,
    and an authority that is added counts after ten minutes at most."""
    return _system_trust(int(time.monotonic() // 600))


@lru_cache(maxsize=1)
def _system_trust(_: int) -> ssl.SSLContext:
    return trusting("")


def trusting(ca_certificate: str) -> ssl.SSLContext:
    """TLS 1.2 or later, for hosts that the authority vouches for; empty text: those of the system."""
    try:
        context = ssl.create_default_context(cadata=ca_certificate or None)
    except (ssl.SSLError, ValueError) as exc:
        raise TlsRefused("the CA certificate is not PEM text of a certificate") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def trusting_anybody() -> ssl.SSLContext:
    """TLS 1.2 or later without a look at the certificate: whoever stands between may pose as the host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def show_certificate(context: ssl.SSLContext, shown: ClientCertificate) -> None:
    """Raises AuthConfig for what cannot be shown; no error carries a byte of the key."""
    if not (shown.client_certificate or shown.client_private_key):
        return
    if not (shown.client_certificate and shown.client_private_key):
        raise AuthConfig("a client certificate and its private key go together; one is missing")
    try:
        chain = x509.load_pem_x509_certificates(shown.client_certificate.encode())
    except ValueError:
        raise AuthConfig("the client certificate is not PEM text of certificates") from None
    key = _load_key(shown)
    # The ssl module reads files alone: this one is locked with a password that nobody keeps.
    password = secrets.token_bytes(32).hex().encode()
    sealed = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(password)
    )
    text = b"".join(found.public_bytes(_PEM) for found in chain) + sealed
    with tempfile.NamedTemporaryFile(prefix="syncproject-") as file:
        Path(file.name).write_bytes(text)
        try:
            context.load_cert_chain(file.name, password=password)
        except ssl.SSLError:
            raise AuthConfig("the client certificate and its private key do not match") from None


def _load_key(shown: ClientCertificate) -> PrivateKeyTypes:
    text = shown.client_private_key.encode()
    try:
        try:
            return serialization.load_pem_private_key(
                text, shown.client_passphrase.encode() or None
            )
        except TypeError:
            if not shown.client_passphrase:
                raise AuthConfig("the client's private key needs its passphrase") from None
            return serialization.load_pem_private_key(text, None)  # stored for a key that has none
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthConfig(
            "the client's private key cannot be read: no PEM text, or the passphrase is wrong"
        ) from None


def make_handshake_error(exc: OSError | ValueError, host: str) -> TransportError:
    """What a handshake that failed comes to. A connection that merely ended refuses nothing: OpenSSL reports
    that as an error of TLS too."""
    ended = isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError)
    if isinstance(exc, ssl.SSLError) and not ended:
        return TlsRefused(f"TLS with {host} failed: {show(str(exc))}")
    return ConnectionLost(
        f"the connection ended during the TLS handshake: {show(str(exc))}",
        stage=ConnectionStage.IDENTITY,
    )
