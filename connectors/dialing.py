"""The one way to open a connection to a far end.

The name is resolved once, every address is judged, and the connection goes to a judged address, so
a name that changes its answer between check and use gains nothing (RELIABILITY P13).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from ipaddress import IPv4Network as _IPv4Network

from connectors.errors import NameNotResolved, NetworkForbidden, Unreachable

Address = IPv4Address | IPv6Address
Network = _IPv4Network | IPv6Network

_METADATA: tuple[Network, ...] = (
    ip_network("169.254.0.0/16"),  # link-local, where clouds answer with credentials
    ip_network("fe80::/10"),
    ip_network("fd00:ec2::/32"),
    ip_network("100.100.100.200/32"),
    ip_network("192.0.0.192/32"),
)
_NAT64 = ip_network("64:ff9b::/96")


def embedded_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 form carries (mapped, compatible, NAT64, 6to4), else itself.

    `ipaddress.is_global` judges the wrapper, not what it leads to.
    """
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and (address in _NAT64 or 1 < int(address) < 2**32):
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


@dataclass(frozen=True, slots=True)
class Policy:
    """Which addresses may be dialled: public ones, and the allowed networks; metadata never."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, networks: Iterable[str]) -> Policy:
        """Raises ValueError for what is no network in CIDR form."""
        return cls(tuple(ip_network(text.strip(), strict=False) for text in networks))

    def permits(self, address: Address) -> bool:
        inner = embedded_address(address)
        if any(inner in network for network in _METADATA if network.version == inner.version):
            return False
        if any(inner in network for network in self.allowed if network.version == inner.version):
            return True
        return inner.is_global and not inner.is_multicast


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens TCP connections under a policy."""

    policy: Policy

    def resolve(self, host: str, port: int) -> list[Address]:
        """The permitted addresses of a host, in the resolver's order.

        Raises NameNotResolved, or NetworkForbidden where none is permitted.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise NameNotResolved(f"{host}: the name has no address") from exc
        addresses = [ip_address(str(item[4][0]).partition("%")[0]) for item in found]
        permitted = [address for address in addresses if self.policy.permits(address)]
        if not permitted:
            raise NetworkForbidden(
                f"{host} is at {addresses[0]}, outside the networks that may be connected to;"
                " an operator can allow it with ALLOWED_NETWORKS"
            )
        return list(dict.fromkeys(permitted))

    def dial(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """A connected socket with that timeout. Raises NameNotResolved, NetworkForbidden, Unreachable."""
        last: OSError | None = None
        for address in self.resolve(host, port):
            try:
                connected = socket.create_connection((str(address), port), timeout=timeout_s)
            except OSError as exc:
                last = exc
                continue
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return connected
        raise Unreachable(f"{host}:{port} did not answer: {last}") from last
