"""Hosts behind a jump host: two real sshd, the second asked for by the first (docs/promises.md: P13, S01, S02)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from embedded.ports import find_free
from farends.contract import Context
from farends.dialing import Dialer, Policy
from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionStage,
    HostKeyChanged,
    HostKeyUnknown,
    NameNotResolved,
    NetworkForbidden,
    PermissionRefused,
    Unreachable,
)
from farends.probe import probe
from farends.registry import get_spec
from farends.spec import Target
from farends.stages import StageOutcome
from tests.connectors.test_ssh_certificates import read_all, target
from tests.holding import nothing_left_held
from tests.hosts.proxies import ProxyServer, running_proxy
from tests.hosts.sinks import digest_of, loopback_context
from tests.hosts.sshd import Sshd, fingerprint_of, make_key, running_sshd, sign_key

KINDS = ["sftp", "ssh", "rsync"]


@dataclass(frozen=True)
class Pair:
    """`jump` takes another key than `host`, and writes down whom it connects to."""

    host: Sshd
    jump: Sshd
    log: Path

    def target(self, kind: str, folder: Path, **changed: Any) -> Target:
        made = target(self.host, kind, folder, private_key=self.host.private_key)
        secret = {
            name: changed.pop(name)
            for name in list(changed)
            if name in {"jump_password", "jump_private_key", "jump_certificate"}
        }
        options = {
            "jump_host": "127.0.0.1",
            "jump_port": self.jump.port,
            "jump_host_key": self.jump.host_keys["ed25519"],
        } | changed
        return replace(
            made,
            options=replace(made.options, **options),
            secret=replace(made.secret, **({"jump_private_key": self.jump.private_key} | secret)),
        )

    def passed_through(self) -> int:
        """How often the jump host was asked for the host."""
        return self.log.read_text().count(f"to 127.0.0.1 port {self.host.port}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    near, far = tmp_path_factory.mktemp("jump"), tmp_path_factory.mktemp("host")
    with running_sshd(near, "LogLevel DEBUG1") as jump, running_sshd(far) as host:
        yield Pair(host, jump, near / "sshd.log")


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_is_read_through_its_jump_host(pair: Pair, folder: Path, kind: str) -> None:
    content = os.urandom(3_000_000)
    (folder / "large").write_bytes(content)
    for number in range(50):
        (folder / f"{number}").write_bytes(b"%d" % number)
    through = pair.passed_through()
    with nothing_left_held():
        found = read_all(kind, pair.target(kind, folder))
    assert found["large"] == digest_of(content)
    assert len(found) == 51
    assert pair.passed_through() > through


@pytest.mark.parametrize("kind", KINDS)
def test_the_jump_host_itself_may_stand_behind_a_proxy(pair: Pair, folder: Path, kind: str) -> None:
    (folder / "file").write_bytes(b"content")
    through = pair.passed_through()
    with running_proxy(ProxyServer("socks5")) as proxy:
        made = pair.target(kind, folder, proxy=proxy.url)
        assert read_all(kind, made) == {"file": digest_of(b"content")}
        assert set(proxy.asked) == {("127.0.0.1", pair.jump.port)}
    assert pair.passed_through() > through


def test_every_kind_of_host_key_is_found_through_one_session(pair: Pair, folder: Path) -> None:
    pin = fingerprint_of(pair.host.host_keys["rsa"])  # asked for last
    with nothing_left_held():
        assert read_all("sftp", pair.target("sftp", folder, host_key=pin)) == {}


def test_the_host_s_own_key_serves_where_the_jump_host_has_none(
    pair: Pair, folder: Path, tmp_path: Path
) -> None:
    kept = pair.jump.authorized_keys.read_text()
    own = pair.target("sftp", folder, jump_private_key="")
    with pytest.raises(AuthRefused, match="the jump host 127"):
        read_all("sftp", own)
    pair.jump.authorized_keys.write_text(kept + pair.host.authorized_keys.read_text())
    try:
        assert read_all("sftp", own) == {}
    finally:
        pair.jump.authorized_keys.write_text(kept)


def test_a_certificate_logs_in_to_the_jump_host(pair: Pair, folder: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", "ecdsa")
    login = pair.target("sftp", folder).options.username
    certificate = sign_key(pair.jump.authority, tmp_path / "key.pub", "-n", login, "-I", "tests")
    for kind in ("sftp", "rsync"):
        made = pair.target(kind, folder, jump_private_key=key, jump_certificate=certificate)
        assert read_all(kind, made) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_s01_s02_the_jump_host_s_key_is_checked_like_the_host_s(
    pair: Pair, folder: Path, tmp_path: Path, kind: str
) -> None:
    with (
        nothing_left_held(),
        pytest.raises(HostKeyUnknown, match=r"the jump host 127\.0\.0\.1: no host key") as unknown,
    ):
        read_all(kind, pair.target(kind, folder, jump_host_key=""))
    assert unknown.value.offered == fingerprint_of(pair.jump.host_keys["ed25519"])
    assert unknown.value.option == "jump_host_key"
    make_key(tmp_path / "foreign", "ed25519")
    foreign = (tmp_path / "foreign.pub").read_text()
    with nothing_left_held(), pytest.raises(HostKeyChanged, match="the jump host") as changed:
        read_all(kind, pair.target(kind, folder, jump_host_key=foreign))
    assert changed.value.option == "jump_host_key"
    with nothing_left_held(), pytest.raises(HostKeyChanged) as beyond:
        read_all(kind, pair.target(kind, folder, host_key=foreign))
    assert beyond.value.option == "host_key"
    assert "jump" not in str(beyond.value)


def test_what_the_jump_host_cannot_or_will_not_reach_is_told(
    pair: Pair, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(Unreachable, match="the jump host cannot reach"):
        read_all("sftp", replace(pair.target("sftp", folder), port=find_free()))
    with running_sshd(tmp_path, "AllowTcpForwarding no") as strict:
        made = pair.target(
            "sftp",
            folder,
            jump_port=strict.port,
            jump_host_key=strict.host_keys["ed25519"],
            jump_private_key=strict.private_key,
        )
        with pytest.raises(PermissionRefused, match="does not let this user connect"):
            read_all("sftp", made)
    with pytest.raises(Unreachable, match="the jump host 127"):
        read_all("sftp", pair.target("sftp", folder, jump_port=find_free()))


def test_p13_the_policy_judges_the_host_behind_the_jump_host(pair: Pair, folder: Path) -> None:
    """A jump host in an allowed network is no way around the policy."""
    through = pair.passed_through()
    for names_go_there in (False, True):
        made = pair.target("sftp", folder, remote_dns=names_go_there)
        for host in ("169.254.169.254", "10.0.0.1", "0x0a000001", "[::ffff:10.0.0.1]".strip("[]")):
            with pytest.raises(NetworkForbidden):
                read_all("sftp", replace(made, host=host))
    remote = pair.target("sftp", folder, remote_dns=True)
    for name in ("metadata.google.internal", "METADATA.google.internal.", "instance-data"):
        with pytest.raises(NetworkForbidden):
            read_all("sftp", replace(remote, host=name))
    with pytest.raises(NameNotResolved):
        read_all("sftp", replace(remote, host="a\r\nb"))
    assert pair.passed_through() == through
    only_far = Context(Dialer(Policy((ip_network("10.0.0.0/8"),))))
    with pytest.raises(NetworkForbidden, match="the jump host"):
        get_spec("sftp").open(pair.target("sftp", folder), only_far)


def test_names_are_looked_up_there_only_where_the_connector_says_so(
    pair: Pair, folder: Path
) -> None:
    unknown_here = replace(pair.target("sftp", folder), host="only-there.invalid")
    with pytest.raises(NameNotResolved):
        read_all("sftp", unknown_here)
    remote = pair.target("sftp", folder, remote_dns=True)
    with pytest.raises(Unreachable, match="the jump host cannot reach only-there"):
        read_all("sftp", replace(remote, host="only-there.invalid"))
    assert "only-there.invalid" in pair.log.read_text()


def test_rsync_s_daemon_has_no_jump_host(pair: Pair, folder: Path) -> None:
    with pytest.raises(AuthConfig, match="over SSH only"):
        read_all("rsync", pair.target("rsync", folder, over_ssh=False))
    with pytest.raises(AuthConfig, match="jump host by private key"):
        read_all("rsync", pair.target("rsync", folder, jump_private_key="", jump_password="x"))


def test_the_connection_test_tells_the_jump_host_s_failures_as_its_own(
    pair: Pair, folder: Path
) -> None:
    cases: dict[ConnectionStage, dict[str, Any]] = {
        ConnectionStage.RESOLVE: {"jump_host": "nothing.invalid"},
        ConnectionStage.CONNECT: {"jump_port": find_free()},
        ConnectionStage.IDENTITY: {"jump_host_key": ""},
        ConnectionStage.LOG_IN: {"jump_private_key": pair.host.private_key},
    }
    for stage, changed in cases.items():
        made = pair.target("sftp", folder, **changed)
        results = probe(get_spec("sftp"), made, loopback_context())
        (told,) = [result for result in results if result.outcome is StageOutcome.FAILED]
        assert told.stage is stage
        assert told.detail.startswith("the jump host ")
        assert told.advice
    assert results[0].detail == "127.0.0.1, by the jump host at 127.0.0.1"
    unknown = pair.target("sftp", folder, jump_host_key="")
    identity = probe(get_spec("sftp"), unknown, loopback_context())[2]
    assert (identity.option, bool(identity.offered)) == ("jump_host_key", True)
    assert "options.jump_host_key" in identity.advice
    results = probe(get_spec("sftp"), pair.target("sftp", folder), loopback_context())
    assert not [result for result in results if result.outcome is StageOutcome.FAILED]
