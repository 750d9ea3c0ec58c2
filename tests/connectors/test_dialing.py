"""Where connections may go (docs/promises.md: P13, X01)."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from embedded.ports import find_free
from farends.dialing import Dialer, Policy
from farends.errors import NameNotResolved, NetworkForbidden, Unreachable
from tests.hosts.sinks import LOOPBACK

FORBIDDEN = [
    "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.1", "::1", "::",
    "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "::7f00:1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "fd00:ec2::254",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_x01_inner_addresses_are_forbidden_by_default(address: str) -> None:
    assert not Policy().permits(ip_address(address), 22)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert Policy().permits(ip_address(address), 22)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "100.100.100.200", "fe80::1"]
)
def test_metadata_addresses_stay_forbidden_whatever_is_allowed(address: str) -> None:
    assert not Policy.parse(["0.0.0.0/0", "::/0"]).permits(ip_address(address), 22)


def test_an_operator_may_allow_a_network() -> None:
    policy = Policy.parse(["10.0.0.0/8"])
    assert policy.permits(ip_address("10.1.2.3"), 22)
    assert policy.permits(ip_address("::ffff:10.1.2.3"), 22)
    assert not policy.permits(ip_address("192.168.1.1"), 22)
    with pytest.raises(ValueError, match="network"):
        Policy.parse(["ten"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "localhost"])
def test_x01_every_spelling_of_loopback_is_judged_by_its_address(host: str) -> None:
    with pytest.raises(NetworkForbidden):
        Dialer(Policy()).dial(host, 1, timeout_s=1)


def test_a_name_without_an_address_is_told() -> None:
    for host in ("nothing.invalid", "", "a" * 70 + ".example", "under score\0"):
        with pytest.raises((NameNotResolved, NetworkForbidden)):
            Dialer(Policy()).dial(host, 1, timeout_s=1)


def test_a_dialled_socket_is_connected_and_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with LOOPBACK.dial("127.0.0.1", port, timeout_s=1) as connected:
            assert connected.getpeername() == ("127.0.0.1", port)
    with pytest.raises(Unreachable):
        LOOPBACK.dial("127.0.0.1", find_free(), timeout_s=1)


def test_what_the_kernel_takes_in_ahead_is_bounded_where_a_rate_is_limited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for dialer, bounded in ((replace(LOOPBACK, receive_bytes=40_000), True), (LOOPBACK, False)):
            with dialer.dial("127.0.0.1", port, timeout_s=1) as connected:
                held = connected.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                assert (held <= 80_000) is bounded  # Linux doubles what is asked for


NEVER = [
    "169.254.169.254", "168.63.129.16", "192.0.0.192", "100.100.100.200", "fd00:ec2::254",
    "fd20:ce::254", "fd00:42::42", "fe80::a9fe:a9fe", "::ffff:168.63.129.16", "64:ff9b::a83f:8110",
    "::ffff:0:169.254.169.254", "2002:a9fe:a9fe::1", "::169.254.169.254", "fd12::5efe:a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:0:a9:fea9:fe00:0",
    "2001:0:0:0:0:0:5601:5601",
]  # fmt: skip


@pytest.mark.parametrize("address", NEVER)
def test_a_clouds_own_addresses_are_never_dialled(address: str) -> None:
    """In whatever form, and whatever an operator allows."""
    everything = Policy.parse(["0.0.0.0/0", "::/0", f"{address}/{128 if ':' in address else 32}"])
    assert not everything.permits(ip_address(address), 80)


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b:1::808:808", "64:ff9b:1:fffe::1", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8",
        "::ffff:0:10.0.0.1", "fec0::1", "feff::1", "0.1.2.3", "192.0.0.8", "192.88.99.1",
        "2002:a00:1::1", "2001:0:102:304::f5ff:fffe", "::10.0.0.1", "2606:4700::5efe:a00:1",
        "3fff::1", "5f00::1", "100::1", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_only_look_public_are_not(address: str) -> None:
    assert not Policy().permits(ip_address(address), 80)


def test_an_operator_may_allow_a_network_that_is_not_public() -> None:
    policy = Policy.parse(["64:ff9b:1::/48", "fec0::/10"])
    assert policy.permits(ip_address("64:ff9b:1::808:808"), 80)
    assert policy.permits(ip_address("fec0::1"), 80)
