"""An authenticated SSH session: guarded connect, pinned host key, then the log-in, in that order."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import paramiko

from farends.contract import Context
from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionLost,
    ConnectionStage,
    HostKeyChanged,
    HostKeyUnknown,
    ProtocolViolation,
    TransportError,
)
from farends.reaching import of_jump_host
from farends.secure_shell.auth import SshLogin, log_in
from farends.secure_shell.end import SshEnd
from farends.secure_shell.host_keys import FAMILIES, Pin, fingerprint
from farends.secure_shell.paramiko_names import acknowledge_at_once
from farends.secure_shell.private_keys import find_certificate_end, load_private_key
from farends.secure_shell.tunnel import Tunnel, Tunnels
from farends.wire.blocking import run_watched
from farends.wire.far_text import show

_T = TypeVar("_T")
Dial = Callable[[], Any]  # makes a socket, or what paramiko takes for one

WINDOW_BYTES = 16 * 1024 * 1024  # twice what a fetch has in flight: the host is never held up
WINDOW_BYTES_MIN = 256 * 1024
CHANNEL_PACKET_BYTES = 250_000
KEEPALIVE_S = 30
_JOIN_S = 5.0


def ssh_error(exc: Exception, stage: ConnectionStage) -> TransportError:
    """The child of TransportError that an error of paramiko or of the socket below it stands for."""
    told = show(str(exc)) or type(exc).__name__
    match exc:
        case TransportError():
            return exc
        case paramiko.BadAuthenticationType():
            allowed = ", ".join(show(kind) for kind in exc.allowed_types)
            return AuthRefused(f"the host takes only: {allowed}")
        case paramiko.PasswordRequiredException():
            return AuthConfig("the private key needs its passphrase")
        case paramiko.AuthenticationException():
            return AuthRefused()
        case paramiko.BadHostKeyException():
            return HostKeyChanged()
        case paramiko.ssh_exception.IncompatiblePeer():
            told += "; a host that knows only old ones needs legacy_algorithms"
            return ProtocolViolation(told, stage=ConnectionStage.IDENTITY)
        case paramiko.ssh_exception.MessageOrderError():
            return ProtocolViolation(told, stage=ConnectionStage.IDENTITY)
        case paramiko.ChannelException():
            return ProtocolViolation(
                f"the host opened no channel: {told}", stage=ConnectionStage.LOG_IN
            )
        case _:
            return ConnectionLost(f"the SSH connection failed: {told}", stage=stage)


def open_ssh_session(end: SshEnd, context: Context) -> paramiko.Transport:
    """A logged-in transport; the caller closes it. Nothing is left open when this raises.

    Raises HostKeyUnknown or HostKeyChanged before any credential is sent.
    """
    key = _key_of(end.login)
    if end.jump is None:
        return _open(end, key, _by_dialer(end, context), context)
    with of_jump_host(end.jump.host, context.dialer):
        jump = open_ssh_session(end.jump, context)

    def close_way() -> None:
        close_session(jump)

    tunnels = Tunnels(jump, close_way, context)
    try:
        return _open(end, key, lambda: tunnels.dial(end.host, end.port), context, close_way)
    except BaseException:
        close_way()
        raise


def _open(
    end: SshEnd,
    key: paramiko.PKey | None,
    dial: Dial,
    context: Context,
    close_way: Callable[[], None] | None = None,
) -> paramiko.Transport:
    transport = _identified(end, dial, context)
    try:
        in_time(
            lambda: _log_in(transport, end, key),
            transport,
            context,
            ConnectionStage.LOG_IN,
            "the log-in",
        )
        transport.set_keepalive(KEEPALIVE_S)
        acknowledge_at_once(transport)
    except BaseException:
        close_session(transport)
        raise
    if isinstance(transport.sock, Tunnel):
        transport.sock.on_close = close_way
    return transport


def _key_of(login: SshLogin) -> paramiko.PKey | None:
    if login.private_key:
        return load_private_key(login.private_key, login.passphrase, login.certificate)
    if login.certificate:
        raise AuthConfig("a certificate is stored, and no private key that it belongs to")
    if not login.password:
        raise AuthConfig("the connector has neither a password nor a private key")
    return None


def _by_dialer(end: SshEnd, context: Context) -> Dial:
    return lambda: context.dialer.dial(end.host, end.port, timeout_s=context.patience.connect_s)


def close_session(transport: paramiko.Transport) -> None:
    """Closes and waits for the thread, which paramiko's own `close` leaves behind for a moment; so it
    does with the thread of a timer where the two ends did not agree."""
    if isinstance(transport.sock, socket.socket):
        with suppress(OSError):  # it may be closed already
            transport.sock.shutdown(
                socket.SHUT_RDWR
            )  # wakes the thread, which looks up every 0.1 s
    transport.close()
    transport.sock.close()  # `close` does nothing to a transport that never started
    if transport.is_alive():
        transport.join(_JOIN_S)
    transport.packetizer.complete_handshake()


def in_time(
    work: Callable[[], _T],
    transport: paramiko.Transport,
    context: Context,
    stage: ConnectionStage,
    doing: str,
) -> _T:
    """A blocking call of paramiko, bounded by the log-in's patience, its errors mapped."""
    try:
        return run_watched(
            work,
            check=context.check,
            cancel=lambda: close_session(transport),
            limit_s=context.patience.log_in_s,
            doing=doing,
        )
    except TransportError as exc:
        if not isinstance(exc, AuthRefused | AuthConfig):
            exc.stage = stage
        raise


def _identified(end: SshEnd, dial: Dial, context: Context) -> paramiko.Transport:
    """A transport whose host has proven that it holds the pinned key.

    A host may hold keys of several kinds and shows one for each connection, so where only a
    fingerprint is known the other kinds are asked for in turn before the key counts as changed.
    """
    pin = _pin_of(end)
    families = list(FAMILIES) if pin is None else pin.families()
    first_offered = ""
    while families:
        try:
            transport, key = _exchange_keys(end, dial, families, context)
        except ProtocolViolation:
            if not first_offered:
                raise
            break  # the host has no further kind of key
        offered = fingerprint(key.asbytes())
        if pin is not None and offered == pin.fingerprint:
            return transport
        close_session(transport)
        if pin is None:
            raise HostKeyUnknown(
                f"no host key is pinned; {end.host} offers {key.get_name()} {offered}",
                offered=offered,
                option=end.pin_option,
            )
        first_offered = first_offered or offered
        if pin.family is not None:
            break
        families.remove(key.get_name())
    raise HostKeyChanged(
        f"{end.host} offers the host key {first_offered}, which is not the pinned one",
        offered=first_offered,
        option=end.pin_option,
    )


def _pin_of(end: SshEnd) -> Pin | None:
    try:
        return Pin.parse(end.pin)
    except HostKeyUnknown as exc:
        exc.option = end.pin_option
        raise


def _exchange_keys(
    end: SshEnd, dial: Dial, families: list[str], context: Context
) -> tuple[paramiko.Transport, paramiko.PKey]:
    transport = _connect(end, dial, context)
    try:
        key = in_time(
            lambda: _negotiate(transport, end, families),
            transport,
            context,
            ConnectionStage.CONNECT,
            "the key exchange",
        )
    except BaseException:
        close_session(transport)
        raise
    return transport, key


def _connect(end: SshEnd, dial: Dial, context: Context) -> paramiko.Transport:
    connected = dial()
    try:
        transport = end.terms.transport_class(
            connected,
            window_bytes=_window_bytes(context.bandwidth_bytes_per_s),
            packet_bytes=CHANNEL_PACKET_BYTES,
        )
    except BaseException:
        connected.close()
        raise
    transport.daemon = True
    transport.banner_timeout = context.patience.log_in_s
    transport.handshake_timeout = context.patience.log_in_s
    transport.auth_timeout = context.patience.log_in_s
    return transport


def _window_bytes(rate: int) -> int:
    """Half a second's worth, where the rate is limited: the host sends as much unasked."""
    return min(max(rate // 2, WINDOW_BYTES_MIN), WINDOW_BYTES) if rate else WINDOW_BYTES


def _negotiate(transport: paramiko.Transport, end: SshEnd, families: list[str]) -> paramiko.PKey:
    end.terms.apply(transport, families)
    try:
        transport.start_client()
        return transport.get_remote_server_key()
    except (paramiko.SSHException, EOFError, OSError) as exc:
        raise ssh_error(exc, ConnectionStage.CONNECT) from exc


def _log_in(transport: paramiko.Transport, end: SshEnd, key: paramiko.PKey | None) -> None:
    try:
        log_in(transport, end.login, key, end.terms)
    except (paramiko.SSHException, EOFError, OSError, AuthRefused) as exc:
        error = ssh_error(exc, ConnectionStage.LOG_IN)
        ended = find_certificate_end(end.login.certificate) if end.login.certificate else ""
        if isinstance(error, AuthRefused) and ended:
            raise AuthRefused(f"{error}: {ended}") from exc
        raise error from exc
