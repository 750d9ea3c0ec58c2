"""A private key that does not open is told with what is wrong, and without a byte of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from farends.wire.key_faults import find_key_fault
from tests.hosts.sshd import make_key


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_a_whole_key_has_no_fault(tmp_path: Path, kind: str, form: str) -> None:
    key = make_key(tmp_path / "key", kind, form=form)
    assert find_key_fault(key.replace("\n", "\r\n"), "") == ""
    assert find_key_fault(f"\n{key}\n", "needless") == ""
    locked = make_key(tmp_path / "locked", kind, passphrase="open, sesame", form=form)
    assert find_key_fault(locked, "open, sesame") == ""
    assert "needs its passphrase" in find_key_fault(locked, "")
    assert "passphrase is another" in find_key_fault(locked, "wrong")


def test_each_fault_has_its_words(tmp_path: Path) -> None:
    good = make_key(tmp_path / "key", "ed25519")
    lines = good.splitlines()
    faults = {
        (tmp_path / "key.pub").read_text(): "is the public key",
        "ssh-ed25519-cert-v01@openssh.com AAAAcanary": "is a certificate",
        "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\ncanary\n": "PuTTY",
        "canary": "does not begin with",
        "": "does not begin with",
        "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----": "says CERTIFICATE",
        "canary\n" + good: "other text before",
        "\n".join(lines[:-1]): "is cut off: its last line, -----END OPENSSH PRIVATE KEY-----",
        good.replace("\n", " "): "has lost its line ends",
        good.replace(lines[1], "canary" + lines[1][6:]): "missing or was altered",
        good.replace(lines[2], ""): "missing or was altered",
    }
    for text, words in faults.items():
        fault = find_key_fault(text, "")
        assert words in fault, text
        assert "canary" not in fault
        assert lines[1][:20] not in fault
