"""The platform's own listeners are no far ends: not by any spelling, protocol or detour."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest

from embedded.ports import find_free
from farends.contract import Context, Patience
from farends.dialing import Dialer, Policy
from farends.errors import NetworkForbidden
from farends.proxying import parse_proxy
from farends.registry import get_spec
from farends.spec import Target
from syncproject import env
from tests.hosts.proxies import ProxyServer, running_proxy
from tests.hosts.scripted_ftp import scripted_ftp
from tests.hosts.scripted_http import Conversation, Request, scripted_http

LOOPBACK = ("127.0.0.0/8", "::1/128", "0.0.0.0/8")


def own_address() -> str:
    """Of this machine's interface, where it has one beside loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


@dataclass
class Platform:
    """A part of it that listens, and whether anybody came."""

    listener: socket.socket
    port: int

    @property
    def dialer(self) -> Dialer:
        return Dialer(Policy.parse([*LOOPBACK, f"{own_address()}/32"], [("127.0.0.1", self.port)]))

    @property
    def context(self) -> Context:
        return Context(self.dialer, Patience(connect_s=5, log_in_s=5, idle_s=5))

    def was_met(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def platform() -> Iterator[Platform]:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 — as web may listen
        listener.setblocking(False)
        made = Platform(listener, listener.getsockname()[1])
        yield made
        assert not made.was_met()


SPELLINGS = [
    "127.0.0.1", "127.1", "127.77.7.7", "0x7f000001", "2130706433", "0.0.0.0", "0", "::1", "::",  # noqa: S104 — dialled
    "::ffff:127.0.0.1", "::ffff:0.0.0.0", "localhost", "::127.0.0.1", "64:ff9b::7f00:1", own_address(),
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_leads_to_the_platform(platform: Platform, host: str) -> None:
    with pytest.raises(NetworkForbidden):
        platform.dialer.dial(host, platform.port, timeout_s=5)


def test_it_is_said_why(platform: Platform) -> None:
    with pytest.raises(NetworkForbidden, match="is a part of this platform, and no far end"):
        platform.dialer.dial("127.0.0.1", platform.port, timeout_s=5)


def test_other_ports_of_this_machine_stay_as_they_are(platform: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        platform.dialer.dial("localhost", other.getsockname()[1], timeout_s=5).close()


def test_a_server_elsewhere_is_known_by_its_name_and_its_address() -> None:
    policy = Policy.parse(
        ["10.0.0.0/8", "192.0.2.0/24"], [("192.0.2.10", 5432), ("[::1]".strip("[]"), 6379)]
    )
    assert not policy.permits(ip_address("192.0.2.10"), 5432)
    assert not policy.permits(ip_address("::ffff:192.0.2.10"), 5432)
    assert policy.permits(ip_address("192.0.2.10"), 22)
    assert policy.permits(ip_address("192.0.2.11"), 5432)
    assert not Policy.parse(["127.0.0.0/8"], [("localhost", 5432)]).permits(
        ip_address("127.0.0.1"), 5432
    )


@pytest.mark.parametrize(
    "kind", ["sftp", "ssh", "ftp", "ftps", "http", "https", "rsync", "webdav", "mcp"]
)
def test_no_protocol_opens_it(platform: Platform, kind: str) -> None:
    spec = get_spec(kind)
    names = spec.options.__dataclass_fields__  # type: ignore[attr-defined]
    given = {"username": "anonymous"} if "username" in names else {}
    secrets = spec.secret.__dataclass_fields__  # type: ignore[attr-defined]
    target = make_target(
        spec, platform.port, given, {"password": "x"} if "password" in secrets else {}
    )
    with (
        pytest.raises(NetworkForbidden),
        contextlib.closing(spec.open(target, platform.context)) as it,
    ):
        list(it.walk())


def make_target(spec: Any, port: int, options: dict[str, Any], secret: dict[str, Any]) -> Target:
    return Target("127.0.0.1", port, spec.options(**options), spec.secret(**secret))


@pytest.mark.parametrize("verb", ["EPSV", "PASV"])
def test_an_ftp_host_sends_nobody_there(platform: Platform, verb: str) -> None:
    high, low = divmod(platform.port, 256)
    extended = f"229 (|||{platform.port}|)" if verb == "EPSV" else "500 what?"
    scripts: dict[str, Any] = {
        "EPSV": lambda conversation, _: conversation.say(extended),
        "PASV": lambda conversation, _: conversation.say(f"227 In (127,0,0,1,{high},{low})"),
    }
    with (
        scripted_ftp({"a.txt": b"0123456789"}, **scripts) as host,
        contextlib.closing(get_spec("ftp").open(host.target(), platform.context)) as transport,
        pytest.raises(NetworkForbidden),
    ):
        list(transport.walk())


def test_a_redirect_sends_nobody_there(platform: Platform) -> None:
    def away(request: Request, conversation: Conversation) -> None:
        where = f"Location: http://127.0.0.1:{platform.port}{request.target}"
        conversation.answer(b"", where, status="302 Found")

    with (
        scripted_http(away) as host,
        pytest.raises(NetworkForbidden),
        contextlib.closing(get_spec("http").open(host.target(), platform.context)) as transport,
    ):
        list(transport.walk())


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_it_is_no_proxy_and_no_proxy_is_asked_for_it(platform: Platform, scheme: str) -> None:
    as_proxy = replace(platform.dialer, proxy=parse_proxy(f"{scheme}://127.0.0.1:{platform.port}"))
    with pytest.raises(NetworkForbidden, match="the proxy: "):
        as_proxy.dial("127.0.0.1", find_free(), timeout_s=5)
    with running_proxy(ProxyServer(scheme, names={"inner.example": "127.0.0.1"})) as proxy:
        behind = replace(platform.dialer, proxy=parse_proxy(proxy.url))
        for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
            with pytest.raises(NetworkForbidden):
                behind.dial(host, platform.port, timeout_s=5)
            with pytest.raises(NetworkForbidden):
                replace(behind, remote_names=True).dial(host, platform.port, timeout_s=5)
        assert proxy.asked == []


def test_the_platforms_listeners_are_read_from_its_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "DATABASE_URL": "postgresql://sync:x@db.example/sync",
        "REDIS_URL": "rediss://:x@cache.example:6380/0",
        "WEB_PORT": "8099",
        "FLOWER_PORT": "5556",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("OWN_LISTENERS", raising=False)
    servers = {("db.example", 5432), ("cache.example", 6380)}
    assert set(env.read().own_listeners) == {("127.0.0.1", 8099), ("127.0.0.1", 5556)} | servers
    monkeypatch.setenv("OWN_LISTENERS", "web:8091, [::1]:5555,")
    assert set(env.read().own_listeners) == {("web", 8091), ("::1", 5555)} | servers
    monkeypatch.setenv("OWN_LISTENERS", "web")
    with pytest.raises(SystemExit, match="OWN_LISTENERS must be like"):
        env.read()
