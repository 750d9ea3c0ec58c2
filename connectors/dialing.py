"""The one way to open a connection to a far end.

The name is resolved once, every address is judged, and the connection goes to a judged address, so
a name that changes its answer between check and use gains nothing (RELIABILITY P13). The same holds
behind a proxy or a jump host, which are asked for the judged address, unless a connector leaves
names to them: then literal addresses and names that are known to lead inside are all that is judged.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from ipaddress import IPv4Network as _IPv4Network

from connectors.errors import (
    ConnectionLost,
    NameNotResolved,
    NetworkForbidden,
    Stage,
    Stalled,
    TransportError,
    Unreachable,
)
from connectors.proxying import Dialog, Proxy, ask_proxy

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
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_ASKED_MAX = 3  # addresses of one host that a proxy is asked for in turn


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
    """Opens TCP connections under a policy. `remote_names`: a name that a proxy or a jump host will
    connect to is looked up there and not here. `receive_bytes` bounds what the kernel takes in ahead
    on each connection; 0 leaves that to the kernel."""

    policy: Policy
    proxy: Proxy | None = None
    remote_names: bool = False
    receive_bytes: int = 0

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

    def resolve_elsewhere(self, host: str, port: int) -> list[str]:
        """What a proxy or a jump host may be asked for: judged addresses, or the name as it is.

        Raises what `resolve` raises.
        """
        if not self.remote_names or _is_judged_here(host, port):
            return [str(address) for address in self.resolve(host, port)[:_ASKED_MAX]]
        try:
            name = host.encode("idna").decode("ascii").rstrip(".").lower()
        except UnicodeError as exc:
            raise NameNotResolved(f"{host!r} is no host name") from exc
        if not _NAME.fullmatch(name):
            raise NameNotResolved(f"{host!r} is no host name")
        if name in _METADATA_NAMES or name.startswith("instance-data."):
            raise NetworkForbidden(
                f"{host} leads to a cloud's metadata, which is never connected to"
            )
        return [name]

    def dial(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """A connected socket with that timeout.

        Raises NameNotResolved, NetworkForbidden, Unreachable; through a proxy also ProxyRefused,
        ProtocolViolation, ConnectionLost, Stalled, AuthConfig.
        """
        if self.proxy is None:
            return self._dial(host, port, timeout_s)
        last: Unreachable | None = None
        for asked in self.resolve_elsewhere(host, port):
            try:
                return self._dial_by(self.proxy, asked, port, timeout_s)
            except Unreachable as exc:
                last = exc
        raise last or Unreachable(f"{host}:{port} did not answer")

    def dial_proxy(self, proxy: Proxy, *, timeout_s: float) -> socket.socket:
        """A socket on which the proxy waits to be asked."""
        try:
            return self._dial(proxy.host, proxy.port, timeout_s)
        except TransportError as exc:
            exc.args = (f"the proxy: {exc}",)
            exc.of_way = True
            raise

    def _dial_by(self, proxy: Proxy, asked: str, port: int, timeout_s: float) -> socket.socket:
        connected = self.dial_proxy(proxy, timeout_s=timeout_s)
        try:
            _converse(connected, ask_proxy(proxy, asked, port), timeout_s)
            connected.settimeout(timeout_s)
        except BaseException:
            connected.close()
            raise
        return connected

    def _dial(self, host: str, port: int, timeout_s: float) -> socket.socket:
        last: OSError | None = None
        for address in self.resolve(host, port):
            try:
                connected = socket.create_connection((str(address), port), timeout=timeout_s)
            except OSError as exc:
                last = exc
                continue
            tune(connected, self.receive_bytes)
            return connected
        raise Unreachable(f"{host}:{port} did not answer: {last}") from last


def tune(made: socket.socket, receive_bytes: int) -> None:
    """What every connection here is set to; before or after it is connected."""
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)


def _is_judged_here(host: str, port: int) -> bool:
    """Whether no resolver is needed: an address in any spelling, or the far machine's own loopback."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True


def _converse(connected: socket.socket, dialog: Dialog, timeout_s: float) -> None:
    """Leads a dialog with a proxy; no drip outlasts `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    try:
        said, count = next(dialog)
        while True:
            if said:
                connected.sendall(said)
            said, count = dialog.send(_receive(connected, count, deadline))
    except StopIteration:
        return
    except TimeoutError as exc:
        raise Stalled("the proxy took too long to answer", stage=Stage.CONNECT) from exc
    except OSError as exc:
        lost = f"the connection to the proxy failed: {exc}"
        raise ConnectionLost(lost, stage=Stage.CONNECT) from exc


def _receive(connected: socket.socket, count: int, deadline: float) -> bytes:
    came = b""
    while len(came) < count:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connected.settimeout(left_s)
        data = connected.recv(count - len(came))
        if not data:
            raise ConnectionLost("the proxy ended the connection", stage=Stage.CONNECT)
        came += data
    return came
