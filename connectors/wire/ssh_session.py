"""An authenticated SSH session: guarded connect, pinned host key, then the log-in, in that order."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import paramiko

from connectors.contract import Context
from connectors.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    ProtocolViolation,
    Stage,
    TransportError,
)
from connectors.wire.host_keys import FAMILIES, Pin, fingerprint
from connectors.wire.private_keys import load_private_key
from connectors.wire.shown import shown
from connectors.wire.ssh_auth import Login, log_in
from connectors.wire.ssh_link import Link, acknowledge_at_once
from connectors.wire.watched import watched

_T = TypeVar("_T")

WINDOW_BYTES = 16 * 1024 * 1024  # twice what a fetch has in flight: the host is never held up
CHANNEL_PACKET_BYTES = 250_000
KEEPALIVE_S = 30
_CIPHERS_FIRST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_JOIN_S = 5.0


def ssh_error(exc: Exception, stage: Stage) -> TransportError:
    """The child of TransportError that an error of paramiko or of the socket below it stands for."""
    told = shown(str(exc)) or type(exc).__name__
    match exc:
        case TransportError():
            return exc
        case paramiko.BadAuthenticationType():
            allowed = ", ".join(shown(kind) for kind in exc.allowed_types)
            return AuthRefused(f"the host takes only: {allowed}")
        case paramiko.PasswordRequiredException():
            return AuthConfig("the private key needs its passphrase")
        case paramiko.AuthenticationException():
            return AuthRefused()
        case paramiko.BadHostKeyException():
            return HostKeyChanged()
        case paramiko.ssh_exception.IncompatiblePeer() | paramiko.ssh_exception.MessageOrderError():
            return ProtocolViolation(told, stage=Stage.IDENTITY)
        case paramiko.ChannelException():
            return ProtocolViolation(f"the host opened no channel: {told}", stage=Stage.LOG_IN)
        case _:
            return ConnectionLost(f"the SSH connection failed: {told}", stage=stage)


def open_session(
    host: str, port: int, pin_text: str, login: Login, context: Context
) -> paramiko.Transport:
    """A logged-in transport; the caller closes it. Nothing is left open when this raises.

    Raises HostKeyUnknown or HostKeyChanged before any credential is sent.
    """
    pin = Pin.parse(pin_text)
    key = load_private_key(login.private_key, login.passphrase) if login.private_key else None
    if key is None and not login.password:
        raise AuthConfig("the connector has neither a password nor a private key")
    transport = _identified(host, port, pin, context)
    try:
        in_time(
            lambda: _log_in(transport, login, key), transport, context, Stage.LOG_IN, "the log-in"
        )
        transport.set_keepalive(KEEPALIVE_S)
        acknowledge_at_once(transport)
    except BaseException:
        close_session(transport)
        raise
    return transport


def close_session(transport: paramiko.Transport) -> None:
    """Closes and waits for the thread, which paramiko's own `close` leaves behind for a moment."""
    with suppress(OSError):  # it may be closed already
        transport.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread, which looks up every 0.1 s
    transport.close()
    transport.sock.close()  # `close` does nothing to a transport that never started
    if transport.is_alive():
        transport.join(_JOIN_S)


def in_time(
    work: Callable[[], _T],
    transport: paramiko.Transport,
    context: Context,
    stage: Stage,
    doing: str,
) -> _T:
    """A blocking call of paramiko, bounded by the log-in's patience, its errors mapped."""
    try:
        return watched(
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


def _identified(host: str, port: int, pin: Pin | None, context: Context) -> paramiko.Transport:
    """A transport whose host has proven that it holds the pinned key.

    A host may hold keys of several kinds and shows one for each connection, so where only a
    fingerprint is known the other kinds are asked for in turn before the key counts as changed.
    """
    families = list(FAMILIES) if pin is None else pin.families()
    first_offered = ""
    while families:
        try:
            transport, key = _exchange_keys(host, port, families, context)
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
                f"no host key is pinned; {host} offers {key.get_name()} {offered}", offered=offered
            )
        first_offered = first_offered or offered
        if pin.family is not None:
            break
        families.remove(key.get_name())
    raise HostKeyChanged(
        f"{host} offers the host key {first_offered}, which is not the pinned one",
        offered=first_offered,
    )


def _exchange_keys(
    host: str, port: int, families: list[str], context: Context
) -> tuple[paramiko.Transport, paramiko.PKey]:
    transport = _connect(host, port, context)
    try:
        key = in_time(
            lambda: _negotiate(transport, families),
            transport,
            context,
            Stage.CONNECT,
            "the key exchange",
        )
    except BaseException:
        close_session(transport)
        raise
    return transport, key


def _connect(host: str, port: int, context: Context) -> paramiko.Transport:
    connected = context.dialer.dial(host, port, timeout_s=context.patience.connect_s)
    try:
        transport = Link(connected, window_bytes=WINDOW_BYTES, packet_bytes=CHANNEL_PACKET_BYTES)
    except BaseException:
        connected.close()
        raise
    transport.daemon = True
    transport.banner_timeout = context.patience.log_in_s
    transport.handshake_timeout = context.patience.log_in_s
    transport.auth_timeout = context.patience.log_in_s
    return transport


def _negotiate(transport: paramiko.Transport, families: list[str]) -> paramiko.PKey:
    options = transport.get_security_options()
    others = [cipher for cipher in options.ciphers if cipher not in _CIPHERS_FIRST]
    options.ciphers = (*_CIPHERS_FIRST, *(c for c in others if "cbc" not in c))
    options.key_types = tuple(algorithm for family in families for algorithm in FAMILIES[family])
    try:
        transport.start_client()
        return transport.get_remote_server_key()
    except (paramiko.SSHException, EOFError, OSError) as exc:
        raise ssh_error(exc, Stage.CONNECT) from exc


def _log_in(transport: paramiko.Transport, login: Login, key: paramiko.PKey | None) -> None:
    try:
        log_in(transport, login, key)
    except (paramiko.SSHException, EOFError, OSError) as exc:
        raise ssh_error(exc, Stage.LOG_IN) from exc
