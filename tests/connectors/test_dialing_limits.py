"""What dialing costs at most: few addresses, one deadline, and an end whenever the work is over."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest

from embedded.ports import find_free
from farends import dialing
from farends.connecting import TRIED_MAX, in_turn
from farends.contract import Context, Patience
from farends.dialing import Dialer, Policy
from farends.errors import NameNotResolved, Stalled, Unreachable
from farends.lookups import AT_ONCE
from farends.proxying import parse_proxy
from tests.hosts.sinks import LOOPBACK

DEAD = [f"127.0.1.{number}" for number in range(1, 25)]


class Over(Exception):
    """The work is."""


def after(calls: int) -> Callable[[], None]:
    """A check that says so from its `calls`-th call on."""
    left = iter(range(calls))

    def check() -> None:
        if next(left, None) is None:
            raise Over

    return check


@dataclass
class Names:
    """What the resolver says of names; anything else is asked of the real one."""

    known: dict[str, list[str]]
    asked: list[str]

    def answer(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in self.known:
            return REAL(host, port, *args, **options)
        self.asked.append(host)
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, 1, 6, "", (text, port))
            for text in self.known[host]
        ]


REAL = socket.getaddrinfo


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names({}, [])
    monkeypatch.setattr(socket, "getaddrinfo", made.answer)
    return made


@contextlib.contextmanager
def silent_host(address: str = "0.0.0.0") -> Iterator[int]:  # noqa: S104 — of loopback, all
    """A port that takes no connection and refuses none: its backlog is full."""
    with contextlib.ExitStack() as held, socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield port


def test_families_are_tried_in_turn_and_only_a_few_addresses() -> None:
    six = [ip_address(f"2001:db8::{number}") for number in range(1, 9)]
    four = [ip_address(f"192.0.2.{number}") for number in range(1, 9)]
    assert in_turn([*six, *four]) == [six[0], four[0], six[1], four[1]]
    assert in_turn([*four[:1], *six]) == [four[0], *six[:3]]
    assert in_turn(four) == four[:TRIED_MAX]


def test_of_24_addresses_behind_a_name_few_are_tried(names: Names) -> None:
    with socket.create_server((DEAD[-1], 0)) as live:
        port = live.getsockname()[1]
        names.known["many.example"] = DEAD
        with pytest.raises(Unreachable, match="refused"):
            LOOPBACK.dial("many.example", port, timeout_s=60)
        names.known["many.example"] = DEAD[-TRIED_MAX:]
        with LOOPBACK.dial("many.example", port, timeout_s=60) as connected:
            assert connected.getpeername() == (DEAD[-1], port)


def test_one_dead_address_keeps_nobody_from_the_next(names: Names) -> None:
    names.known["half.example"] = ["127.0.1.1", "127.0.0.1"]
    with (
        silent_host("127.0.1.1") as port,
        socket.create_server(("127.0.0.1", port)),
        LOOPBACK.dial("half.example", port, timeout_s=60) as connected,
    ):
        assert connected.getpeername()[0] == "127.0.0.1"


def test_dialing_ends_when_the_work_is_over(names: Names) -> None:
    names.known["many.example"] = DEAD
    with silent_host() as port:
        context = Context(LOOPBACK, Patience(connect_s=3600), check=after(3))
        with pytest.raises(Over):
            context.dialer.dial("many.example", port, timeout_s=3600)


def test_all_addresses_together_have_one_deadline(names: Names) -> None:
    names.known["many.example"] = DEAD
    with silent_host() as port:
        calls: list[None] = []
        dialer = replace(LOOPBACK, check=lambda: calls.append(None))
        with pytest.raises(Unreachable, match="timed out"):
            dialer.dial("many.example", port, timeout_s=0.6)
    assert 1 <= len(calls) <= 20


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_asking_a_silent_proxy_ends_when_the_work_is_over(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        way = parse_proxy(f"{scheme}://127.0.0.1:{proxy.getsockname()[1]}")
        dialer = replace(LOOPBACK, proxy=way)
        with pytest.raises(Over):
            replace(dialer, check=after(6)).dial("127.0.0.1", 9, timeout_s=3600)
        with pytest.raises(Stalled):
            dialer.dial("127.0.0.1", 9, timeout_s=0.6)


@dataclass
class HangingNames:
    """A name server that does not answer, until it is let go."""

    let_go: threading.Event
    begun: list[str]

    def answer(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith(".hangs.example") or options.get("flags"):
            return REAL(host, port, *args, **options)
        self.begun.append(host)
        self.let_go.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingNames]:
    made = HangingNames(threading.Event(), [])
    monkeypatch.setattr(socket, "getaddrinfo", made.answer)
    yield made
    made.let_go.set()
    for thread in threading.enumerate():
        if thread.name == "farends.lookups":
            thread.join()


def test_a_look_up_that_hangs_keeps_nobody(hanging: HangingNames) -> None:
    with pytest.raises(Over):
        replace(LOOPBACK, check=after(2)).dial("a.hangs.example", 22, timeout_s=3600)
    with pytest.raises(NameNotResolved, match="took too long"):
        LOOPBACK.dial("a.hangs.example", 22, timeout_s=0.3)
    with pytest.raises(NameNotResolved, match="took too long"):
        LOOPBACK.resolve("a.hangs.example", 22, within_s=0.3)
    assert hanging.begun == ["a.hangs.example"]  # whoever asks meanwhile waits for the same answer


def test_look_ups_that_hang_are_bounded(hanging: HangingNames) -> None:
    for number in range(AT_ONCE):
        with pytest.raises(NameNotResolved, match="took too long"):
            LOOPBACK.resolve(f"{number}.hangs.example", 22, within_s=0.001)
    with pytest.raises(NameNotResolved, match="look-ups of other names"):
        LOOPBACK.resolve("one-more.hangs.example", 22, within_s=60)
    assert len(hanging.begun) <= AT_ONCE
    assert LOOPBACK.resolve("127.0.0.1", 22) == [ip_address("127.0.0.1")]  # nobody is asked


def test_what_may_be_the_platform_is_not_dialled_while_nobody_says(
    hanging: HangingNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialing, "_OWN_LOOKUP_S", 0.1)
    policy = Policy.parse(["127.0.0.0/8"], [("web.hangs.example", 8091)])
    assert not policy.permits(ip_address("127.0.0.1"), 8091)
    assert policy.permits(ip_address("127.0.0.1"), 22)
    nowhere = Policy.parse(["127.0.0.0/8"], [("nothing.invalid", 8091)])
    assert nowhere.permits(ip_address("127.0.0.1"), 8091)


def test_a_context_dials_as_its_check_says() -> None:
    """However the dialer was made."""
    context = Context(Dialer(LOOPBACK.policy), check=after(0))
    with pytest.raises(Over):
        context.dialer.dial("127.0.0.1", find_free(), timeout_s=1)
    with pytest.raises(Over):
        replace(context, dialer=LOOPBACK).dialer.dial("127.0.0.1", find_free(), timeout_s=1)
