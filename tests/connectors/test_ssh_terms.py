"""What the ends of an SSH connection agree on: compression, named ciphers, and old hosts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farends.errors import ProtocolViolation, Stalled
from farends.probe import probe
from farends.registry import get_spec
from farends.sftp.transport import SftpOptions
from farends.spec import InvalidOptions, Target, parse_options
from farends.stages import StageOutcome
from tests.connectors.test_ssh_certificates import read_all, target
from tests.hosts.asyncssh_host import running_asyncssh
from tests.hosts.proxies import ProxyServer, running_proxy
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.hosts.sshd import Sshd, make_key, running_sshd
from tests.waiting import leaving_no_thread

KINDS = ["sftp", "ssh", "rsync"]
OLD = (
    "KexAlgorithms diffie-hellman-group14-sha1",
    "HostKeyAlgorithms ssh-rsa",
    "Ciphers aes128-cbc,3des-cbc",
    "MACs hmac-sha1",
    "PubkeyAcceptedAlgorithms ssh-rsa",
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A host of the years before 2014, as far as a new one can be made to look so."""
    home = tmp_path_factory.mktemp("old")
    with running_sshd(home, *OLD) as running:
        key = make_key(home / "rsa", "rsa", form="PEM")
        running.authorized_keys.write_text((home / "rsa.pub").read_text())
        yield replace(running, private_key=key)


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def made(sshd: Sshd, kind: str, folder: Path, **options: Any) -> Target:
    given = target(sshd, kind, folder, private_key=sshd.private_key)
    return replace(given, options=replace(given.options, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_compression_is_used_where_it_is_asked_for(sshd: Sshd, folder: Path, kind: str) -> None:
    content = b"the same again and again. " * 100_000
    (folder / "file").write_bytes(content)
    passed = {}
    for compression in (False, True):
        with running_proxy(ProxyServer("socks5")) as proxy:
            given = made(sshd, kind, folder, proxy=proxy.url, compression=compression)
            assert read_all(kind, given) == {"file": digest_of(content)}
            passed[compression] = proxy.forwarded
    assert passed[False] > len(content)
    assert passed[True] < len(content) // 10


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_host_is_read_only_where_the_connector_allows_it(
    old: Sshd, folder: Path, kind: str
) -> None:
    (folder / "file").write_bytes(b"content")
    pin = {"host_key": old.host_keys["rsa"]}
    with leaving_no_thread(), pytest.raises(ProtocolViolation, match="legacy_algorithms"):
        read_all(kind, made(old, kind, folder, **pin))
    allowed = made(old, kind, folder, legacy_algorithms=True, **pin)
    assert read_all(kind, allowed) == {"file": digest_of(b"content")}
    results = probe(get_spec(kind), allowed, loopback_context())
    assert not [result for result in results if result.outcome is StageOutcome.FAILED]
    assert "can be broken" in results[-1].detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_host_is_spoken_to_in_new_ways_all_the_same(
    sshd: Sshd, folder: Path, kind: str
) -> None:
    (folder / "file").write_bytes(b"content")
    for pinned in ("ed25519", "rsa"):
        given = made(sshd, kind, folder, legacy_algorithms=True, host_key=sshd.host_keys[pinned])
        assert read_all(kind, given) == {"file": digest_of(b"content")}


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_named_ciphers_are_used(tmp_path: Path, folder: Path, kind: str) -> None:
    (folder / "file").write_bytes(b"content")
    with running_sshd(tmp_path, "Ciphers aes256-ctr") as sshd:
        given = made(sshd, kind, folder, ciphers=("aes192-ctr", "aes256-ctr"))
        assert read_all(kind, given) == {"file": digest_of(b"content")}
        with pytest.raises(ProtocolViolation):
            read_all(kind, made(sshd, kind, folder, ciphers=("aes128-gcm@openssh.com",)))
    with pytest.raises(InvalidOptions, match="there are aes128-gcm"):
        parse_options(SftpOptions, {"username": "u", "ciphers": ["rot13"]})


def test_the_idle_time_out_is_the_connector_s(tmp_path: Path, folder: Path) -> None:
    (folder / "silent").write_bytes(b"x")
    with running_asyncssh(tmp_path, folder) as host:
        given = host.target(folder)
        options = replace(given.options, idle_timeout_s=0.3)
        transport = get_spec("sftp").open(replace(given, options=options), loopback_context())
        try:
            entries: list[Any] = list(transport.walk())
            with pytest.raises(Stalled, match=r"0\.3 s"):
                list(transport.fetch(entries, DigestSink()))
        finally:
            transport.close()
