"""Finds the address that a request comes from: the client's own, or only that of a proxy that many clients share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_FORWARDED = ("X-Forwarded-For", "X-Real-Ip", "Forwarded", "Via")  # a proxy adds one of these
_SITE_BITS = 64  # of IPv6: one client may have all addresses below


def find_client(peer: str, headers: Mapping[str, str], proxies: Sequence[str]) -> str | None:
    """The client's address, or the first of its IPv6 network; None where only its proxy's is known.

    `proxies` are those that may say for whom they ask. Of others a header proves nothing: a request with one
    counts as its sender's own, unless it comes from near by, where proxies are that nobody has named.
    """
    if not _is_address(peer):
        return None
    trusted = [ip_network(proxy, strict=False) for proxy in proxies]
    if _is_in(peer, trusted):
        named = [part.strip() for part in headers.get("X-Forwarded-For", "").split(",")]
        others = (name for name in reversed(named) if not _is_in(name, trusted))
        client = next(others, "")
        return _key(client) if _is_address(client) else None
    near = ip_address(peer).is_private
    return None if near and any(name in headers for name in _FORWARDED) else _key(peer)


def is_in_networks(address: str, networks: Sequence[str]) -> bool:
    """Whether an address lies in one of these networks, in CIDR form. What is no address lies in none."""
    return _is_in(address, [ip_network(network, strict=False) for network in networks])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    return _is_address(text) and any(ip_address(text) in network for network in networks)


def _key(text: str) -> str:
    address = ip_address(text)
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _SITE_BITS), strict=False).network_address)
