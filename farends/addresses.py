"""Judges addresses: whose they are, where they lead, and whether anybody may connect to them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Where clouds answer with credentials, and what of their machines none but these are to ask. Never a far end.
_METADATA: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: all of them
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/32",  # Google Cloud, fd20:ce::254
        "fd00:42::42/128",  # Scaleway
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud, its classic one
        "168.63.129.16/32",  # Azure: also the way to its host
    )
)
# Not for everybody, whatever `is_global` of this Python says.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "192.0.0.0/24",  # RFC 6890
        "192.88.99.0/24",  # relays of 6to4
        "fec0::/10",  # site-local
        "64:ff9b:1::/48",  # NAT64 of one's own network, RFC 8215
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "100::/64",
        "3fff::/20",  # documentation, RFC 9637
        "5f00::/16",  # SIDs of segment routing, RFC 9602
    )
)
_NAT64 = ip_network("64:ff9b::/96")
_NAT64_OWN = ip_network("64:ff9b:1::/48")
_TRANSLATED = ip_network("::ffff:0:0:0/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
# Where a prefix of so many bits has the IPv4 address, as byte numbers (RFC 6052 §2.2); byte 8 stays free.
_NAT64_BYTES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))


def embedded_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 form carries (mapped, compatible, translated, NAT64, 6to4, Teredo,
    ISATAP), else itself.

    `ipaddress.is_global` judges the wrapper, not what it leads to.
    """
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    number = int(address)
    ends_in_one = (
        address in _NAT64
        or address in _TRANSLATED
        or 1 < number < 2**32
        or number >> 32 & 0xFFFFFFFF in _ISATAP
    )
    if inner is None and ends_in_one:
        inner = IPv4Address(number & 0xFFFFFFFF)
    return inner or address


def is_metadata(address: Address) -> bool:
    """Whether a cloud's metadata service has this address, in whatever form. It is never dialled, whatever an operator allows."""
    return any(_in_any(form, _METADATA) for form in _iter_forms(address))


def is_public(address: Address) -> bool:
    """Meant for everybody on the internet, and so is the address that it carries."""
    inner = embedded_address(address)
    if _in_any(address, _NOT_PUBLIC) or _in_any(inner, _NOT_PUBLIC):
        return False
    return inner.is_global and not inner.is_multicast


def is_of_this_machine(address: Address) -> bool:
    """Loopback, "any address", or that of one of its interfaces: a socket can be bound to it."""
    inner = embedded_address(address)
    if inner.is_loopback or inner.is_unspecified or inner in ip_network("0.0.0.0/8"):
        return True
    family = socket.AF_INET if isinstance(inner, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(inner), 0))
    except OSError:
        return False
    return True


def parse_address(text: str) -> Address:
    """Reads an address as resolvers give it, with or without a zone. Raises ValueError."""
    return ip_address(text.partition("%")[0])


def _iter_forms(address: Address) -> Iterator[Address]:
    yield address
    yield embedded_address(address)
    if address in _NAT64_OWN:
        packed = address.packed
        for places in _NAT64_BYTES:
            yield IPv4Address(bytes(packed[place] for place in places))


def _in_any(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
