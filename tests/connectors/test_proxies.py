"""Every protocol through a SOCKS5 and an HTTP proxy that really relay (docs/promises.md: P13, H15, R07)."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedded.ports import find_free
from farends.contract import Context, Fetched, RemoteEntry
from farends.dialing import Dialer, Policy
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    NameNotResolved,
    NetworkForbidden,
    ProtocolViolation,
    ProxyRefused,
    Stalled,
    TransportError,
    Unreachable,
)
from farends.probe import probe
from farends.proxying import parse_proxy
from farends.spec import Target
from farends.stages import StageOutcome
from tests.conformance.hosts import HOSTS, Host
from tests.hosts.proxies import PASSWORD, USERNAME, ProxyServer, running_proxy
from tests.hosts.sinks import DigestReceiver, DigestSink, digest_of, loopback_context

SCHEMES = ["socks5", "http"]
THROUGH = ["openssh", "openssh-shell", "rsync-daemon", "rsync-ssh", "nginx-html", "nginx-tls",
           "pyftpdlib", "vsftpd-tls", "rclone-webdav", "mcp"]  # fmt: skip


@pytest.fixture(scope="module", params=THROUGH)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    home = tmp_path_factory.mktemp(request.param)
    served = home / "served"
    served.mkdir()
    with HOSTS[request.param](home, served) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    home = tmp_path_factory.mktemp("plain")
    served = home / "served"
    served.mkdir()
    with HOSTS["nginx-html"](home, served) as running:
        yield running


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def via(target: Target, proxy: str, **changed: Any) -> Target:
    secret = {name: changed.pop(name) for name in list(changed) if name.startswith("proxy_")}
    return replace(
        target,
        options=replace(target.options, proxy=proxy, **changed),
        secret=replace(target.secret, **secret),
    )


def look_at_processes(receiver: DigestReceiver) -> None:
    """R07, P11: a credential is in no command line and no environment."""
    for told in (*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")):
        with contextlib.suppress(OSError):
            assert PASSWORD.encode() not in told.read_bytes(), told


def read_all(host: Host, target: Target) -> dict[str, Fetched]:
    sink = DigestSink(look_at_processes if "rsync" in host.spec.kind else None)
    transport = host.spec.open(target, loopback_context())
    with contextlib.closing(transport):
        entries = [e for e in transport.walk() if isinstance(e, RemoteEntry)]
        return {found.entry.path: found for found in transport.fetch(entries, sink)}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_protocol_goes_through_a_proxy_and_by_no_other_way(host: Host, scheme: str) -> None:
    folder = Path(tempfile.mkdtemp(dir=host.served))
    folder.chmod(0o755)
    content = os.urandom(700_000)
    (folder / "large").write_bytes(content)
    for number in range(20):
        (folder / f"{number}").write_bytes(b"%d" % number)
    with running_proxy(ProxyServer(scheme, locked=True)) as proxy:
        target = via(
            host.target(folder), proxy.url, proxy_username=USERNAME, proxy_password=PASSWORD
        )
        found = read_all(host, target)
        assert {path: answer.error for path, answer in found.items() if answer.error} == {}
        assert len(found) == 21
        assert found["large"].receipt == digest_of(content)
        assert proxy.forwarded > len(content)
        assert {name for name, _ in proxy.asked} == {"127.0.0.1"}
        ports = {port for _, port in proxy.asked}
        if host.spec.kind in ("ftp", "ftps"):
            assert len(ports) > 20  # each data connection too
        else:
            assert ports == {target.port}
        with pytest.raises(ProxyRefused, match="the proxy refused"):
            read_all(host, via(host.target(folder), proxy.url))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_name_that_only_the_proxy_knows(host: Host, scheme: str) -> None:
    if host.spec.kind in ("https", "ftps"):
        return  # their certificate is for another name
    folder = Path(tempfile.mkdtemp(dir=host.served))
    folder.chmod(0o755)
    (folder / "file").write_bytes(b"content")
    names = {"only-there.invalid": "127.0.0.1"}
    with running_proxy(ProxyServer(scheme, names=names)) as proxy:
        target = replace(host.target(folder), host="only-there.invalid")
        with pytest.raises(NameNotResolved):
            read_all(host, via(target, proxy.url))
        assert not proxy.asked
        found = read_all(host, via(target, proxy.url, remote_dns=True))
        assert found["file"].receipt == digest_of(b"content"), found["file"].error
        assert {name for name, _ in proxy.asked} == {"only-there.invalid"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_a_proxy_refuses_or_cannot_reach_is_told_as_its_own(plain: Host, scheme: str) -> None:
    target = plain.target(plain.served)
    strict = ProxyServer(scheme, locked=True, forbids=lambda port: port == target.port)
    with running_proxy(strict) as proxy:
        known = {"proxy_username": USERNAME, "proxy_password": PASSWORD}
        cases: list[tuple[Target, type[TransportError], str]] = [
            (via(target, proxy.url, **known), ProxyRefused, "the proxy refused 127.0.0.1"),
            (
                via(replace(target, port=find_free()), proxy.url, **known),
                Unreachable,
                "the proxy cannot reach 127.0.0.1",
            ),
            (
                via(target, proxy.url, **(known | {"proxy_password": "canary"})),
                ProxyRefused,
                "the proxy refused its user name or password",
            ),
            (via(target, f"{scheme}://127.0.0.1:{find_free()}"), Unreachable, "the proxy: 127"),
            (via(target, f"{scheme}://nothing.invalid:1"), NameNotResolved, "the proxy: nothing"),
        ]
        for given, kind, words in cases:
            results = probe(plain.spec, given, loopback_context())
            (told,) = [result for result in results if result.outcome is StageOutcome.FAILED]
            assert told.code == kind.code
            assert told.detail.startswith(words)
            assert told.advice
            assert told.stage is (
                ConnectionStage.RESOLVE if kind is NameNotResolved else ConnectionStage.CONNECT
            )
            assert "canary" not in repr(results)
            with pytest.raises(kind):
                read_all(plain, given)
        strict.forbids = lambda port: False
        (first, *_) = probe(plain.spec, via(target, proxy.url, **known), loopback_context())
        assert first.detail == f"127.0.0.1, by the proxy 127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_is_none_is_told_and_one_that_is_silent_is_bounded(
    plain: Host, scheme: str
) -> None:
    other = "http" if scheme == "socks5" else "socks5"
    target = plain.target(plain.served)
    with running_proxy(ProxyServer(other)) as proxy:
        with pytest.raises((ProtocolViolation, ConnectionLost, Stalled)):
            read_all(plain, via(target, f"{scheme}://127.0.0.1:{proxy.port}", connect_timeout_s=2))
        assert not proxy.asked
    with running_proxy(ProxyServer(scheme, silent=True)) as proxy, pytest.raises(Stalled):
        read_all(plain, via(target, proxy.url, connect_timeout_s=0.3))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_p13_proxy_and_host_are_both_held_to_the_policy(plain: Host, scheme: str) -> None:
    target = plain.target(plain.served)
    with running_proxy(ProxyServer(scheme)) as proxy:
        for remote_dns in (False, True):
            for name in ("169.254.169.254", "10.0.0.1", "0x7f.1.1.1", "2852039166"):
                given = replace(via(target, proxy.url, remote_dns=remote_dns), host=name)
                narrow = Context(Dialer(Policy.parse(["127.0.0.1/32"])))
                with pytest.raises(NetworkForbidden):
                    plain.spec.open(given, narrow)
        for name in ("metadata.google.internal", "localhost", "127.1"):
            given = replace(via(target, proxy.url, remote_dns=True), host=name)
            with pytest.raises(NetworkForbidden):
                plain.spec.open(given, Context(Dialer(Policy.parse(["10.0.0.0/8"]))))
        assert not proxy.asked
        forbidding = Context(Dialer(Policy()))
        with pytest.raises(NetworkForbidden, match="the proxy"):
            plain.spec.open(replace(via(target, proxy.url), host="1.1.1.1"), forbidding)
        assert not proxy.asked


def test_h15_proxies_of_the_environment_are_ignored(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "RSYNC_PROXY", "ftp_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{find_free()}")
    monkeypatch.setenv("RSYNC_CONNECT_PROG", "false")
    folder = Path(tempfile.mkdtemp(dir=host.served))
    folder.chmod(0o755)
    assert read_all(host, host.target(folder)) == {}


@pytest.mark.parametrize(
    "text",
    ["host:1080", "socks4://h:1", "socks5://h", "http://h:99999", "http://h:1/x", "http://:1", "x"],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be like"):
        parse_proxy(text)
    with pytest.raises(ValueError, match="into the secret"):
        parse_proxy("socks5://user:canary@h:1")
    assert "canary" not in repr(parse_proxy("socks5://h:1", "canary", "canary"))
