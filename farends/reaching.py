"""The way to a far end: the options that kinds have in common, and what they make of a context."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from farends.contract import Context, Transport
from farends.dialing import Dialer
from farends.errors import AuthConfig, TransportError
from farends.pacing import Pace, PacedTransport
from farends.proxying import parse_proxy
from farends.spec import Target, Waypoint, option

BANDWIDTH_MIN = 16 * 1024
PATIENCE_MAX_S = 86_400  # what an option may ask to wait for
_RECEIVE_BYTES_MIN, _RECEIVE_BYTES_MAX = 32 * 1024, 1024 * 1024
_LUMP_BYTES = 512 * 1024
_RECEIVE_S = 0.125  # how long what waits in one connection's buffer may last at the limited rate

Open = Callable[[Target, Context], Transport]


def _check_bandwidth(bytes_per_s: int) -> None:
    """Below, a file's next bytes would come so late that hosts give up."""
    if bytes_per_s and bytes_per_s < BANDWIDTH_MIN:
        raise ValueError(f"must be {BANDWIDTH_MIN} or more, or 0 for no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Options of every kind. `never` are names that no option of the kind will have, each with the reason: who
    expects such an option is told."""

    never: ClassVar[Mapping[str, str]] = {}
    proxy: str = option(
        "Proxy",
        "socks5://host:port or http://host:port (by CONNECT). It is asked for the address that the"
        " host's name has here. If you change it, enter the secret again.",
        default="",
        advanced=True,
        check=parse_proxy,
    )
    remote_dns: bool = option(
        "Names are looked up on the way",
        "For names that only the proxy or the jump host knows. Which address they lead to can then"
        " not be held to ALLOWED_NETWORKS; literal addresses still are.",
        default=False,
        advanced=True,
    )
    connect_timeout_s: float = option(
        "Connect time-out",
        "Seconds until a host that does not answer, at all of its addresses, counts as unreachable; 0 is the usual 10.",
        default=0.0,
        advanced=True,
        least=0,
        most=PATIENCE_MAX_S,
    )
    idle_timeout_s: float = option(
        "Idle time-out",
        "Seconds in which a host must bring something; 0 is the usual 60.",
        default=0.0,
        advanced=True,
        least=0,
        most=PATIENCE_MAX_S,
    )

    bandwidth_bytes_per_s: int = option(
        "Bandwidth",
        "Bytes a second at most, of all files together that one sync fetches; 16384 or more, and 0"
        " for no limit.",
        default=0,
        advanced=True,
        check=_check_bandwidth,
        least=0,
    )
    modified_precision_s: float = option(
        "Precision of times",
        "Seconds: times that differ by less count as the same. 0 is what the protocol promises; a"
        " host that rounds, such as FAT with its 2 s, needs more.",
        default=0.0,
        advanced=True,
        least=0,
        most=PATIENCE_MAX_S,
    )

    @property
    def lists_whole(self) -> bool:
        return False

    @property
    def nothing_listed(self) -> str:
        return "the folder is empty"

    @property
    def silence_granted_s(self) -> float:
        """The longest silence that a person granted the host; 0 where nobody said."""
        return max(self.idle_timeout_s, self.connect_timeout_s)

    def detour(self) -> tuple[Waypoint, ...]:
        jump = self.jump()
        return (*proxy_waypoint(self.proxy), *(() if jump is None else (jump,)))

    def jump(self) -> Waypoint | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ReachSecret:
    """Secrets of every kind. Tokens that say who bears them have thousands of characters."""

    characters_max: ClassVar[int] = 100_000

    proxy_username: str = option(
        "User name at the proxy", "Empty where it asks for none.", default="", advanced=True
    )
    proxy_password: str = option(
        "Password at the proxy",
        "Goes with its user name.",
        default="",
        advanced=True,
        goes_with="proxy_username",
    )


def proxy_waypoint(url: str) -> tuple[Waypoint, ...]:
    """None or one."""
    if not url:
        return ()
    try:
        proxy = parse_proxy(url)
    except ValueError:  # saved past the forms: nothing will be dialled
        proxy = None
    written = url.lower().rstrip("/")
    return (Waypoint(written, proxy.host, proxy.port) if proxy else Waypoint(written, None, None),)


def follow_options(open_far_end: Open) -> Open:
    """Opens as the options say: through the proxy, with these time-outs, at that pace. Where they say
    nothing the transport itself is handed out, and costs nothing more."""

    @functools.wraps(open_far_end)
    def opened(target: Target, context: Context) -> Transport:
        way = way_to(target, context)
        transport = open_far_end(target, way)
        precision_ns = round(target.options.modified_precision_s * 1e9)
        rate = way.bandwidth_bytes_per_s
        if not (rate or precision_ns):
            return transport

        def rest() -> None:  # the wait is ours: nothing is stuck
            way.check()
            way.moved()

        return PacedTransport(transport, Pace(rate, rest) if rate else None, precision_ns)

    return opened


def way_to(target: Target, context: Context) -> Context:
    """The context in which a target is dialled. Raises AuthConfig."""
    options: Reach = target.options
    secret: ReachSecret = target.secret
    try:
        proxy = parse_proxy(options.proxy, secret.proxy_username, secret.proxy_password)
    except ValueError as exc:
        raise AuthConfig(f"the proxy {exc}") from None
    rate = options.bandwidth_bytes_per_s
    lump_s = _LUMP_BYTES / rate if rate else 0.0  # a host that keeps a limit sends, then sleeps
    patience = replace(
        context.patience,
        connect_s=options.connect_timeout_s or context.patience.connect_s,
        idle_s=(options.idle_timeout_s or context.patience.idle_s) + lump_s,
    )
    dialer = replace(
        context.dialer,
        proxy=proxy,
        remote_names=options.remote_dns,
        receive_bytes=_receive_bytes(rate),
    )
    return replace(context, dialer=dialer, patience=patience, bandwidth_bytes_per_s=rate)


def dial_host(target: Target, context: Context) -> None:
    """Shows that somebody answers at the target's host and port, or at the jump host before it. Raises
    TransportError's children."""
    way = way_to(target, context)
    jump = target.options.jump()
    host, port = (target.host, target.port) if jump is None else (jump.host, jump.port)
    way.dialer.dial(host, port, timeout_s=way.patience.connect_s).close()


def _receive_bytes(rate: int) -> int:
    """What the kernel may take in ahead of us on each connection; 0 leaves it to the kernel."""
    ahead = round(rate * _RECEIVE_S)
    return max(ahead, _RECEIVE_BYTES_MIN) if 0 < ahead < _RECEIVE_BYTES_MAX else 0


@contextlib.contextmanager
def of_jump_host(host: str | None, dialer: Dialer) -> Iterator[None]:
    """Errors that leave here are those of the jump host, and say so."""
    try:
        yield
    except TransportError as exc:
        exc.args = (f"the jump host {host}: {exc}",)
        exc.of_way = exc.of_way or dialer.proxy is None
        raise
