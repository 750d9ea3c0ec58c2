"""Log-in by a certificate that an authority signed, over every kind that goes by SSH."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from farends.contract import RemoteEntry
from farends.errors import AuthConfig, AuthRefused
from farends.registry import get_spec
from farends.secure_shell.private_keys import load_private_key
from farends.spec import Target, parse_options
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.hosts.sshd import Sshd, make_key, running_sshd, sign_key

KINDS = ["ed25519", "ecdsa", "rsa"]


@pytest.fixture(scope="module")
def certifying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Knows no key by itself: only what the authority signed logs in."""
    with running_sshd(tmp_path_factory.mktemp("sshd"), "AuthorizedKeysFile none") as running:
        yield running


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def target(sshd: Sshd, kind: str, folder: Path | str, **secret: str) -> Target:
    spec = get_spec(kind)
    options: dict[str, object] = {
        "username": getpass.getuser(),
        "root": str(folder),
        "host_key": sshd.host_keys["ed25519"],
    }
    if kind == "rsync":
        options["over_ssh"] = True
    return Target(
        "127.0.0.1",
        sshd.port,
        parse_options(spec.options, options),
        parse_options(spec.secret, secret),
    )


def signed(sshd: Sshd, home: Path, kind: str, *words: str) -> tuple[str, str]:
    """A new key and the certificate for it."""
    text = make_key(home / "key", kind)
    words = words or ("-n", getpass.getuser(), "-I", "tests")
    return text, sign_key(sshd.authority, home / "key.pub", *words)


def read_all(kind: str, target: Target) -> dict[str, object]:
    transport = get_spec(kind).open(target, loopback_context())
    try:
        entries = [e for e in transport.walk() if isinstance(e, RemoteEntry)]
        answers = list(transport.fetch(entries, DigestSink()))
    finally:
        transport.close()
    assert not [answer.error for answer in answers if answer.error]
    return {answer.entry.path: answer.receipt for answer in answers}


@pytest.mark.parametrize("kind", ["sftp", "ssh", "rsync"])
def test_a_certificate_logs_in_where_its_key_alone_does_not(
    certifying: Sshd, tmp_path: Path, folder: Path, kind: str
) -> None:
    (folder / "file").write_bytes(b"content")
    key, certificate = signed(certifying, tmp_path, "ed25519")
    shown = target(certifying, kind, folder, private_key=key, certificate=f" {certificate}\r\n")
    assert read_all(kind, shown) == {"file": digest_of(b"content")}
    with pytest.raises(AuthRefused):
        read_all(kind, target(certifying, kind, folder, private_key=key))


@pytest.mark.parametrize("key_kind", KINDS)
def test_every_kind_of_key_may_carry_a_certificate(
    certifying: Sshd, tmp_path: Path, folder: Path, key_kind: str
) -> None:
    key, certificate = signed(certifying, tmp_path, key_kind)
    given = target(certifying, "sftp", folder, private_key=key, certificate=certificate)
    assert read_all("sftp", given) == {}


def test_a_certificate_that_has_ended_says_so(
    certifying: Sshd, tmp_path: Path, folder: Path
) -> None:
    words = ("-n", getpass.getuser(), "-I", "tests", "-V", "20200101:20200102")
    key, certificate = signed(certifying, tmp_path, "ed25519", *words)
    given = target(certifying, "sftp", folder, private_key=key, certificate=certificate)
    with pytest.raises(AuthRefused, match="ended at 2020-01-0"):
        read_all("sftp", given)


def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_dialled(
    certifying: Sshd, tmp_path: Path, folder: Path
) -> None:
    key, certificate = signed(certifying, tmp_path, "ed25519")
    other = make_key(tmp_path / "other", "ed25519")
    for_hosts = sign_key(certifying.authority, tmp_path / "other.pub", "-h", "-I", "tests")
    blob = certificate.split()[1]
    cases = {
        "another private key": (other, certificate),
        "for hosts": (other, for_hosts),
        "cannot be read": (key, certificate.replace(blob, blob[:100])),
        "one line of a file": (key, (tmp_path / "key.pub").read_text()),
    }
    for words, (private, shown) in cases.items():
        with pytest.raises(AuthConfig, match=words):
            load_private_key(private, "", shown)
    alone = replace(
        target(certifying, "sftp", folder, password="x", certificate=certificate), port=9
    )
    with pytest.raises(AuthConfig, match="no private key"):
        read_all("sftp", alone)


def test_a_certificate_s_text_is_never_taken_for_a_path(certifying: Sshd, tmp_path: Path) -> None:
    key, _ = signed(certifying, tmp_path, "ed25519")
    with pytest.raises(AuthConfig):
        load_private_key(key, "", str(tmp_path / "key-cert.pub"))
