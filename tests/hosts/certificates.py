"""A certificate authority of the test's own."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_AUTHORITY = "Test authority"


@dataclass(frozen=True)
class Certificates:
    authority: str  # PEM text
    server: Path  # PEM file with certificate and key
    authority_key: ec.EllipticCurvePrivateKey = field(repr=False)

    def make_client(self, passphrase: str = "") -> tuple[str, str]:
        """Certificate and private key of a client, as PEM text."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _builder(_name("a client"), _name(_AUTHORITY), key).sign(
            self.authority_key, hashes.SHA256()
        )
        locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            locked = serialization.BestAvailableEncryption(passphrase.encode())
        pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        text = key.private_bytes(pem, form, locked)
        return signed.public_bytes(pem).decode("ascii"), text.decode("ascii")


def make_certificates(home: Path, name: str = "127.0.0.1", *names: str) -> Certificates:
    """For IP addresses or host names."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name = _name(_AUTHORITY)
    authority = (
        _builder(authority_name, authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    subjects = [_subject(each) for each in (name, *names)]
    certificate = (
        _builder(_name(name), authority_name, key)
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    server = home / "server.pem"
    server.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Certificates(authority.public_bytes(pem).decode("ascii"), server, authority_key)


def _subject(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
