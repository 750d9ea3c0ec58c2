"""The one way to open a connection to a far end.

The name is resolved once, every address is judged, and the connection goes to a judged address, so
a name that changes its answer between check and use gains nothing (docs/promises.md, P13). The same holds
behind a proxy or a jump host, which are asked for the judged address, unless a connector leaves
names to them: then literal addresses and names that are known to lead inside are all that is judged.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from farends.addresses import (
    Address,
    Network,
    embedded_address,
    is_metadata,
    is_of_this_machine,
    is_public,
)
from farends.connecting import connect_first
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    NameNotResolved,
    NetworkForbidden,
    Stalled,
    TransportError,
    Unreachable,
)
from farends.lookups import look_up
from farends.proxying import Dialog, Proxy, ask_proxy

CONNECT_S = 10.0
_OWN_LOOKUP_S = 2.0
_SLICE_S = 0.25
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_ASKED_MAX = 3  # addresses of one host that a proxy is asked for in turn


@dataclass(frozen=True, slots=True)
class Listener:
    """The address at which a part of the platform itself listens; any spelling that leads there counts."""

    host: str
    port: int

    def is_at(self, address: Address) -> bool:
        """Also where nobody says in time where it is: then nothing is dialled that it may be."""
        try:
            found = look_up(self.host, deadline=time.monotonic() + _OWN_LOOKUP_S, check=_never)
        except NameNotResolved as exc:
            return (
                exc.__cause__ is None
            )  # else the name has no address, and nobody gets there by it
        if is_of_this_machine(address):  # it may listen at all of its addresses
            return any(is_of_this_machine(one) for one in found)
        return embedded_address(address) in found


def _never() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Policy:
    """Which addresses may be dialled: public ones, and the allowed networks; a cloud's metadata and the
    platform's own listeners never."""

    allowed: tuple[Network, ...] = ()
    own: tuple[Listener, ...] = ()

    @classmethod
    def parse(cls, networks: Iterable[str], own: Iterable[tuple[str, int]] = ()) -> Policy:
        """Raises ValueError for what is no network in CIDR form."""
        allowed = tuple(ip_network(text.strip(), strict=False) for text in networks)
        return cls(allowed, tuple(Listener(*place) for place in own))

    def permits(self, address: Address, port: int) -> bool:
        inner = embedded_address(address)
        if is_metadata(address) or self.is_own(address, port):
            return False
        for one in (address, inner):
            if any(one in network for network in self.allowed if network.version == one.version):
                return True
        return is_public(address)

    def is_own(self, address: Address, port: int) -> bool:
        """Whether a part of the platform listens there. What is judged costs nothing for any other port."""
        return any(one.is_at(address) for one in self.own if one.port == port)


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens TCP connections under a policy. `remote_names`: a name that a proxy or a jump host will
    connect to is looked up there and not here. `receive_bytes` bounds what the kernel takes in ahead
    on each connection; 0 leaves that to the kernel. `check` raises when the work is over; it is called
    several times a second while anything is waited for."""

    policy: Policy
    proxy: Proxy | None = None
    remote_names: bool = False
    receive_bytes: int = 0
    check: Callable[[], None] = _never

    def resolve(self, host: str, port: int, *, within_s: float = CONNECT_S) -> list[Address]:
        """The permitted addresses of a host, in the resolver's order.

        Raises NameNotResolved, or NetworkForbidden where none is permitted.
        """
        return self._resolve(host, port, time.monotonic() + within_s)

    def _resolve(self, host: str, port: int, deadline: float) -> list[Address]:
        addresses = look_up(host, deadline=deadline, check=self.check)
        permitted = [address for address in addresses if self.policy.permits(address, port)]
        if permitted:
            return list(dict.fromkeys(permitted))
        if any(self.policy.is_own(address, port) for address in addresses):
            raise NetworkForbidden(f"{host}:{port} is a part of this platform, and no far end")
        raise NetworkForbidden(
            f"{host} is at {addresses[0]}, outside the networks that may be connected to;"
            " an operator can allow it with ALLOWED_NETWORKS"
        )

    def resolve_elsewhere(self, host: str, port: int, *, within_s: float = CONNECT_S) -> list[str]:
        """What a proxy or a jump host may be asked for: judged addresses, or the name as it is.

        Raises what `resolve` raises.
        """
        if not self.remote_names or _is_judged_here(host, port):
            found = self.resolve(host, port, within_s=within_s)
            return [str(address) for address in found[:_ASKED_MAX]]
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
        self._refuse_own_name(name, port, within_s)
        return [name]

    def _refuse_own_name(self, name: str, port: int, within_s: float) -> None:
        """What is told of a name here is not what it leads to there; where it leads to ourselves it does
        so there as well, because who is asked stands beside us or is one of us."""
        if not any(listener.port == port for listener in self.policy.own):
            return
        try:
            found = look_up(name, deadline=time.monotonic() + within_s, check=self.check)
        except NameNotResolved:
            return
        if any(self.policy.is_own(address, port) for address in found):
            raise NetworkForbidden(f"{name}:{port} is a part of this platform, and no far end")

    def dial(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """A connected socket with that time-out, which all of the dialling together keeps as well.

        Raises NameNotResolved, NetworkForbidden, Unreachable; through a proxy also ProxyRefused,
        ProtocolViolation, ConnectionLost, Stalled, AuthConfig.
        """
        deadline = time.monotonic() + timeout_s
        if self.proxy is None:
            return self._dial(host, port, deadline, timeout_s)
        last: Unreachable | None = None
        for asked in self.resolve_elsewhere(host, port, within_s=timeout_s):
            try:
                return self._dial_by(self.proxy, asked, port, deadline, timeout_s)
            except Unreachable as exc:
                last = exc
        raise last or Unreachable(f"{host}:{port} did not answer")

    def _dial_by(
        self, proxy: Proxy, asked: str, port: int, deadline: float, timeout_s: float
    ) -> socket.socket:
        with _of_proxy():
            connected = self._dial(proxy.host, proxy.port, deadline, timeout_s)
        try:
            _converse(connected, ask_proxy(proxy, asked, port), deadline, self.check)
            connected.settimeout(timeout_s)
        except BaseException:
            connected.close()
            raise
        return connected

    def _dial(self, host: str, port: int, deadline: float, timeout_s: float) -> socket.socket:
        addresses = self._resolve(host, port, deadline)
        try:
            connected = connect_first(
                addresses, port, deadline=deadline, check=self.check, prepare=self._prepare
            )
        except OSError as exc:
            raise Unreachable(f"{host}:{port} did not answer: {exc.strerror or exc}") from exc
        connected.settimeout(timeout_s)
        return connected

    def _prepare(self, made: socket.socket) -> None:
        tune(made, self.receive_bytes)


@contextlib.contextmanager
def _of_proxy() -> Iterator[None]:
    """Errors that leave here are those of the proxy, and say so."""
    try:
        yield
    except TransportError as exc:
        exc.args = (f"the proxy: {exc}",)
        exc.of_way = True
        raise


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


def _converse(
    connected: socket.socket, dialog: Dialog, deadline: float, check: Callable[[], None]
) -> None:
    """Leads a dialog with a proxy; no drip outlasts `deadline`."""
    try:
        said, count = next(dialog)
        while True:
            if said:
                connected.settimeout(max(_SLICE_S, deadline - time.monotonic()))
                connected.sendall(said)
            said, count = dialog.send(_receive(connected, count, deadline, check))
    except StopIteration:
        return
    except TimeoutError as exc:
        raise Stalled("the proxy took too long to answer", stage=ConnectionStage.CONNECT) from exc
    except OSError as exc:
        lost = f"the connection to the proxy failed: {exc}"
        raise ConnectionLost(lost, stage=ConnectionStage.CONNECT) from exc


def _receive(
    connected: socket.socket, count: int, deadline: float, check: Callable[[], None]
) -> bytes:
    came = b""
    while len(came) < count:
        check()
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connected.settimeout(min(left_s, _SLICE_S))
        try:
            data = connected.recv(count - len(came))
        except TimeoutError:
            continue
        if not data:
            raise ConnectionLost("the proxy ended the connection", stage=ConnectionStage.CONNECT)
        came += data
    return came
