"""The bandwidth limit: a token bucket, and every protocol held to it on real servers."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from farends.contract import RemoteEntry
from farends.pacing import BURST_S, Pace
from farends.spec import InvalidOptions, parse_options
from tests.conformance.hosts import HOSTS, Host
from tests.hosts.proxies import ProxyServer, running_proxy
from tests.hosts.sinks import DigestSink, digest_of, loopback_context

PACED = ["openssh", "openssh-shell", "rsync-daemon", "nginx-html", "nginx-tls", "vsftpd"]
RATE = 400_000


class Stopped(Exception):
    pass


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.longest_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.longest_s = max(self.longest_s, seconds)
        self.now_s += seconds


def test_the_bucket_holds_its_rate_and_saves_up_little() -> None:
    clock = Clock()
    pace = Pace(1000, lambda: None, clock=clock, sleep=clock.sleep)
    for _ in range(40):
        pace.take(250)
    assert clock.now_s - 1000 == pytest.approx(10)
    clock.now_s += 3600
    began = clock.now_s
    pace.take(1250)
    assert clock.now_s - began == pytest.approx(1.25 - BURST_S)
    assert clock.longest_s <= 0.25  # so often it looks up


def test_a_wait_for_the_rate_ends_when_the_work_is_over() -> None:
    clock, calls = Clock(), []

    def check() -> None:
        calls.append(clock.now_s)
        if clock.now_s >= 1001:
            raise Stopped

    with pytest.raises(Stopped):
        Pace(10, check, clock=clock, sleep=clock.sleep).take(100_000)
    assert clock.now_s - 1000 <= 1.25


@pytest.fixture(scope="module", params=PACED)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    home = tmp_path_factory.mktemp(request.param)
    served = home / "served"
    served.mkdir()
    with HOSTS[request.param](home, served) as running:
        yield running


@pytest.fixture
def folder(host: Host) -> Path:
    made = Path(tempfile.mkdtemp(dir=host.served))
    made.chmod(0o755)
    return made


def test_no_byte_comes_faster_than_the_limit_and_no_silence_is_seen(
    host: Host, folder: Path
) -> None:
    """Four files at once; the idle time-out is shorter than the whole takes."""
    content = os.urandom(300_000)
    for number in range(4):
        (folder / f"{number}").write_bytes(content)
    target = host.target(folder)
    options = replace(target.options, bandwidth_bytes_per_s=RATE, idle_timeout_s=1.0)
    transport = host.spec.open(replace(target, options=options), loopback_context())
    with contextlib.closing(transport):
        entries = [e for e in transport.walk() if isinstance(e, RemoteEntry)]
        began = time.monotonic()
        answers = list(transport.fetch(entries, DigestSink()))
        took_s = time.monotonic() - began
        assert [answer.error for answer in answers] == [None] * 4
        assert {answer.receipt for answer in answers} == {digest_of(content)}
    # A lower bound alone: a busy machine makes it longer, nothing makes it shorter.
    assert took_s >= 1_200_000 / RATE - BURST_S - 0.05


def test_a_limited_fetch_ends_soon_after_it_is_cancelled_and_little_has_come(
    host: Host, folder: Path
) -> None:
    """What a proxy on the way has passed on by then: about what buffers hold, and not the file."""
    (folder / "large").write_bytes(bytes(40_000_000))
    stop_at: list[float] = []

    def check() -> None:
        if stop_at and time.monotonic() > stop_at[0]:
            raise Stopped

    target = host.target(folder)
    sink = DigestSink()
    with running_proxy(ProxyServer("http")) as proxy:
        options = replace(target.options, bandwidth_bytes_per_s=100_000, proxy=proxy.url)
        transport = host.spec.open(replace(target, options=options), loopback_context(check=check))
        with contextlib.closing(transport):
            entries = [e for e in transport.walk() if isinstance(e, RemoteEntry)]
            stop_at.append(time.monotonic() + 1)
            with pytest.raises(Stopped):
                list(transport.fetch(entries, sink))
        assert proxy.forwarded < 8_000_000
    assert not sink.left_open


def test_a_limit_that_hosts_would_not_wait_for_is_refused(host: Host) -> None:
    options = {"username": "u", "bandwidth_bytes_per_s": 0}
    assert parse_options(host.spec.options, options).bandwidth_bytes_per_s == 0
    with pytest.raises(InvalidOptions, match="16384"):
        parse_options(host.spec.options, options | {"bandwidth_bytes_per_s": 5})


def test_times_are_as_exact_as_the_connector_says(host: Host, folder: Path) -> None:
    target = host.target(folder)
    options = replace(target.options, modified_precision_s=2.0)
    transport = host.spec.open(replace(target, options=options), loopback_context())
    with contextlib.closing(transport):
        assert transport.capabilities.modified_precision_ns == 2_000_000_000
        assert list(transport.walk()) == []
