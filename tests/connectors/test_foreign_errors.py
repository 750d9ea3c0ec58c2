"""No exception of a protocol library gets past a transport: each is mapped, or never comes to us."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import socket
import ssl
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import paramiko
import pytest
from paramiko import ssh_exception

from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionLost,
    ConnectionStage,
    HostKeyChanged,
    ProtocolViolation,
    TransportError,
)
from farends.secure_shell.session import ssh_error

KEY = paramiko.ECDSAKey.generate()
# What the SSH code catches around each call of paramiko.
CAUGHT = (paramiko.SSHException, EOFError, OSError)
# Of paramiko's other exceptions, why none comes to us.
NEVER = {
    "BERException": "old key files: ours are read by cryptography",
    "InvalidHostKey": "known_hosts files: ours are read by no one",
    "NeedRekeyException": "paramiko raises and catches it in its own loop",
    "SFTPError": "paramiko's own SFTP client, which we do not use",
    "UnknownKeyType": "keys whose type is looked up by name, which we do not do",
}
MADE: dict[str, tuple[tuple[Any, ...], type[TransportError]]] = {
    "AuthFailure": ((object(),), AuthRefused),
    "BadAuthenticationType": (("", ["publickey"]), AuthRefused),
    "BadHostKeyException": (("host", KEY, KEY), HostKeyChanged),
    "ChannelException": ((1, "no"), ProtocolViolation),
    "IncompatiblePeer": (("no",), ProtocolViolation),
    "MessageOrderError": (("no",), ProtocolViolation),
    "NoValidConnectionsError": (({("127.0.0.1", 1): OSError()},), ConnectionLost),
    "PartialAuthentication": ((["password"],), AuthRefused),
    "PasswordRequiredException": (("no",), AuthConfig),
    "ProxyCommandFailure": (("command", "error"), ConnectionLost),
}


def exceptions_of(package: ModuleType) -> Iterator[type[BaseException]]:
    """Of the package and of all its modules that can be imported here."""
    found = pkgutil.iter_modules(getattr(package, "__path__", []), f"{package.__name__}.")
    of_windows = ("_win", "win_")
    names = [one.name for one in found if not one.name.rpartition(".")[2].startswith(of_windows)]
    kinds = {
        kind
        for name in (package.__name__, *names)
        for kind in vars(importlib.import_module(name)).values()
        if inspect.isclass(kind) and issubclass(kind, BaseException)
    }
    yield from (kind for kind in kinds if kind.__module__.startswith(package.__name__))


def name_of(kind: type[BaseException]) -> str:
    return kind.__name__


KINDS: list[type[BaseException]] = sorted(exceptions_of(paramiko), key=name_of)


@pytest.mark.parametrize("kind", KINDS, ids=map(name_of, KINDS))
def test_every_exception_of_paramiko_is_mapped(kind: type[BaseException]) -> None:
    if not issubclass(kind, CAUGHT):
        assert kind.__name__ in NEVER, f"{kind.__name__} would get past the transports over SSH"
        return
    given, expected = MADE.get(kind.__name__, ((), None))
    made = kind(*given)
    assert isinstance(made, Exception)
    told = ssh_error(made, ConnectionStage.LOG_IN)
    assert isinstance(told, TransportError)
    if expected is None:
        of_log_in = issubclass(kind, ssh_exception.AuthenticationException)
        expected = AuthRefused if of_log_in else ConnectionLost
    assert type(told) is expected


def test_the_tables_name_only_what_paramiko_has() -> None:
    assert NEVER.keys() | MADE.keys() <= {kind.__name__ for kind in exceptions_of(paramiko)}


@pytest.mark.parametrize("library", [ssl, socket], ids=["ssl", "socket"])
def test_every_exception_of_sockets_and_tls_is_an_error_of_the_system(library: ModuleType) -> None:
    """Sockets are read, written and shaken hands on under `except OSError`."""
    kinds = {
        kind
        for name, kind in vars(library).items()
        if not name.startswith("_") and inspect.isclass(kind) and issubclass(kind, BaseException)
    }
    assert kinds
    assert all(issubclass(kind, OSError) for kind in kinds)


def test_what_is_packed_wrongly_is_an_error_of_its_own_kind() -> None:
    """zlib's error is neither: `BoundedPacketizer` unpacks in paramiko's thread, which passes on whatever
    ended it, and `ssh_error` takes any exception."""
    assert not issubclass(zlib.error, CAUGHT)
    assert isinstance(ssh_error(zlib.error("no"), ConnectionStage.READ), ConnectionLost)
