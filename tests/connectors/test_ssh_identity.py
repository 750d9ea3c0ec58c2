"""Host keys, log-in and stored keys (docs/promises.md: S01, S02, S10, S12)."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from farends.errors import AuthConfig, AuthRefused, HostKeyChanged, HostKeyUnknown
from farends.secure_shell.host_keys import Pin
from farends.secure_shell.private_keys import load_private_key
from farends.sftp.transport import SPEC, SftpOptions, SftpSecret
from farends.spec import Target
from tests.holding import nothing_left_held
from tests.hosts.asyncssh_host import AsyncsshHost, running_asyncssh
from tests.hosts.sinks import loopback_context
from tests.hosts.sshd import HOST_KEYS, Sshd, fingerprint_of, make_key


def try_to_open(target: Target) -> None:
    SPEC.open(target, loopback_context()).close()


def test_s01_an_unknown_key_is_shown_and_never_trusted(sshd: Sshd) -> None:
    with pytest.raises(HostKeyUnknown) as caught:
        try_to_open(sshd.target(".", host_key=""))
    assert caught.value.offered == fingerprint_of(sshd.host_keys["ed25519"])
    assert caught.value.offered in str(caught.value)


@pytest.mark.parametrize("kind", HOST_KEYS)
def test_each_key_of_the_host_may_be_the_pinned_one(sshd: Sshd, kind: str) -> None:
    line = sshd.host_keys[kind]
    try_to_open(sshd.target(".", host_key=line))
    try_to_open(sshd.target(".", host_key=f"[host]:22 {line}"))
    try_to_open(sshd.target(".", host_key=fingerprint_of(line)))


def test_s02_a_changed_key_is_refused_and_not_retried(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "foreign", "ed25519")
    foreign = (tmp_path / "foreign.pub").read_text()
    for pin in (foreign, fingerprint_of(foreign)):
        with pytest.raises(HostKeyChanged) as caught:
            try_to_open(sshd.target(".", host_key=pin))
        assert caught.value.offered == fingerprint_of(sshd.host_keys["ed25519"])
        assert not caught.value.retryable


def test_no_credential_leaves_before_the_host_is_known(tmp_path: Path, folder: Path) -> None:
    with running_asyncssh(tmp_path, folder) as host:
        for pin in ("", "SHA256:" + "A" * 43):
            with pytest.raises((HostKeyUnknown, HostKeyChanged)):
                try_to_open(host.target(folder, host_key=pin))


@pytest.mark.parametrize("pin", ["md5:00", "ssh-ed25519", "ssh-ed25519 not!base64", "ssh-dss AAAA"])
def test_a_pin_that_is_none_is_no_pin(pin: str) -> None:
    with pytest.raises(HostKeyUnknown):
        Pin.parse(pin)


def test_a_password_logs_in_also_where_it_is_prompted_for(
    other_sshd: AsyncsshHost, tmp_path: Path, folder: Path
) -> None:
    try_to_open(other_sshd.target(folder))
    with running_asyncssh(tmp_path, folder, "prompts") as prompting:
        try_to_open(prompting.target(folder))
        with pytest.raises(AuthRefused):
            try_to_open(prompting.target(folder, password="canary"))


def test_s10_failed_log_ins_leave_no_descriptor_and_no_thread(
    other_sshd: AsyncsshHost, folder: Path
) -> None:
    target = other_sshd.target(folder, password="canary-password")
    with nothing_left_held():
        for _ in range(100):
            with pytest.raises(AuthRefused) as caught:
                try_to_open(target)
            assert "canary" not in str(caught.value)


def test_a_host_that_takes_only_keys_says_so(sshd: Sshd) -> None:
    target = sshd.target(".")
    with pytest.raises(AuthRefused, match="publickey"):
        try_to_open(replace(target, secret=SftpSecret(password="x")))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("passphrase", ["", "open, sesame"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_every_current_kind_of_private_key_logs_in(
    sshd: Sshd, tmp_path: Path, kind: str, passphrase: str, form: str
) -> None:
    text = make_key(tmp_path / "key", kind, passphrase=passphrase, form=form)
    kept = sshd.authorized_keys.read_text()
    sshd.authorized_keys.write_text((tmp_path / "key.pub").read_text())
    try:
        secret = SftpSecret(private_key=text.replace("\n", "\r\n"), passphrase=passphrase)
        try_to_open(replace(sshd.target("."), secret=secret))
        if passphrase:
            for wrong in ("", "wrong"):
                with pytest.raises(AuthConfig, match="passphrase"):
                    load_private_key(text, wrong)
        else:
            load_private_key(text, "needless")
    finally:
        sshd.authorized_keys.write_text(kept)


def test_s12_bad_private_keys_are_told_without_a_byte_of_them(tmp_path: Path) -> None:
    good = make_key(tmp_path / "key", "ed25519")
    body = good.splitlines()[1]
    bad = [
        "not a key: canary",
        good[: len(good) // 2],
        good.replace(body, "canary" + body[6:]),
        good.replace(body, ""),
        "-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----\n",
        "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\ncanary\n",
        (tmp_path / "key.pub").read_text(),
    ]
    for text in bad:
        with pytest.raises(AuthConfig) as caught:
            load_private_key(text, "")
        assert caught.value.__cause__ is None
        assert "canary" not in str(caught.value)
        assert body[:20] not in str(caught.value)


def test_nothing_stored_is_told_before_anything_is_dialled() -> None:
    with pytest.raises(AuthConfig):
        try_to_open(Target("127.0.0.1", 9, SftpOptions(username="u"), SftpSecret()))


def test_a_secret_never_shows_itself() -> None:
    assert "canary" not in repr(Target("h", 1, None, SftpSecret(password="canary")))


def test_a_check_that_raises_ends_a_log_in_that_hangs() -> None:
    class Stopped(Exception):
        pass

    def check() -> None:
        raise Stopped

    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = AsyncsshHost(silent.getsockname()[1], "SHA256:x")
        with nothing_left_held(), pytest.raises(Stopped):
            SPEC.open(host.target("."), loopback_context(check=check))
