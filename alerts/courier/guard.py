"""Judges every connection of a process as it is made, and notes what was answered, whatever library does it.

An audit hook sees each `connect` of Python code with its numeric address; what it raises, the connect raises. It does
not see code in C that connects by itself: so schemes are sent by an allow-list as well.
"""

from __future__ import annotations

import http.client
import logging
import smtplib
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alerts.core.answers import (
    CONNECTION_LOST,
    FORBIDDEN_NETWORK,
    NAME_NOT_RESOLVED,
    REFUSED,
    TIMED_OUT,
    TLS,
    UNREACHABLE,
    SendAnswer,
    code_of_smtp,
    code_of_status,
)
from farends.addresses import parse_address
from farends.dialing import Policy
from farends.web.dates import seconds_until

_NEVER = (
    "subprocess.",
    "os.exec",
    "os.system",
    "os.fork",
    "os.posix_spawn",
    "os.startfile",
    "pty.",
    "ctypes.",
)
_SENDS_APART = ("socket.sendto", "socket.sendmsg")
_UNKNOWN_COMMANDS = frozenset({500, 502})  # a server that does not know EHLO is asked by HELO
_CAUSES_MAX = 10


class ConnectForbidden(OSError):
    """A library takes it for any failure to connect."""


@dataclass
class Witnessed:
    """What happened while a message was sent."""

    forbidden: str = ""
    status: int = 0  # of the last answer by HTTP
    retry_after_s: float | None = None  # which that answer asked for
    smtp: int = 0  # the last reply that was no success
    failure: str = ""  # code of the last exception

    def judge(self) -> SendAnswer:
        """Of a message that was not delivered."""
        if self.forbidden:
            return SendAnswer(False, FORBIDDEN_NETWORK, self.forbidden)
        if self.status >= 300:
            reason = http.client.responses.get(self.status, "")
            told = f"The service answered {self.status} {reason}".rstrip() + "."
            return SendAnswer(False, code_of_status(self.status), told, self.retry_after_s)
        if self.smtp:
            return SendAnswer(
                False, code_of_smtp(self.smtp), f"The mail server answered {self.smtp}."
            )
        if self.failure:
            return SendAnswer(False, self.failure, _WORDS[self.failure])
        if self.status:
            return SendAnswer(False, REFUSED, "The service did not take the message.")
        return SendAnswer(False, CONNECTION_LOST, _WORDS[CONNECTION_LOST])


def guard_process(policy: Policy, seen: Witnessed) -> None:
    """From now on, for good: this process connects only where the policy permits, and starts nothing."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            _judge(args[1], policy, seen)
        elif event in _SENDS_APART or event.startswith(_NEVER):
            raise ConnectForbidden(f"{event} is not allowed here")

    _note_http(seen)
    _note_smtp(seen)
    _note_failures(seen)
    sys.addaudithook(hook)


def _judge(address: Any, policy: Policy, seen: Witnessed) -> None:
    try:
        host, port = str(address[0]), int(address[1])
        permitted = policy.permits(parse_address(host), port)
    except (
        TypeError,
        ValueError,
        IndexError,
    ):  # a local socket, or a name that C code would look up
        host, port, permitted = "this address", 0, False
    if not permitted:
        seen.forbidden = (
            f"{host} is outside the networks that may be connected to;"
            " an operator can allow it with ALLOWED_NETWORKS"
        )
        raise ConnectForbidden(seen.forbidden)


def _note_http(seen: Witnessed) -> None:
    class Noting(http.client.HTTPResponse):
        def begin(self) -> None:
            super().begin()
            seen.status = self.status
            seen.retry_after_s = seconds_until(
                self.headers.get("Retry-After"), self.headers.get("Date"), now_s=time.time()
            )
            if self.status >= 300:
                del self.headers["Location"]  # a redirect that leads nowhere is followed by nobody

    http.client.HTTPConnection.response_class = Noting


def _note_smtp(seen: Witnessed) -> None:
    get_reply = smtplib.SMTP.getreply

    def noting(self: smtplib.SMTP) -> tuple[int, bytes]:
        code, words = get_reply(self)
        if code >= 400 and code not in _UNKNOWN_COMMANDS:
            seen.smtp = code
        return code, words

    smtplib.SMTP.getreply = noting  # type: ignore[method-assign]  # the one place that reads replies


def _note_failures(seen: Witnessed) -> None:
    """Apprise swallows exceptions, and writes a log line while it does."""

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (exc := sys.exc_info()[1]) is not None:
                seen.failure = code_of_failure(exc)

    logger = logging.getLogger("apprise")
    logger.handlers, logger.propagate = [Noting()], False
    logger.setLevel(logging.DEBUG)


def code_of_failure(exc: BaseException) -> str:
    chain = list(_iter_causes(exc))
    for kinds, code in _CODES:
        if any(isinstance(one, kinds) for one in chain):
            return code
    return CONNECTION_LOST


def _iter_causes(exc: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CAUSES_MAX):
        if exc is None:
            return
        yield exc
        reason = getattr(exc, "reason", None)  # of urllib3
        inner = reason if isinstance(reason, BaseException) else None
        if inner is None:
            inner = next((one for one in exc.args if isinstance(one, BaseException)), None)
        exc = inner or exc.__cause__ or exc.__context__


_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    # The connection merely ended: OpenSSL reports that as an error of TLS too.
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError), CONNECTION_LOST),
    (ssl.SSLError, TLS),
    (socket.gaierror, NAME_NOT_RESOLVED),
    (ConnectionRefusedError, UNREACHABLE),
    (TimeoutError, TIMED_OUT),
)
_WORDS = {
    TLS: "The certificate of the host is not trusted, or it speaks no TLS.",
    NAME_NOT_RESOLVED: "The name of the host has no address.",
    UNREACHABLE: "The host does not answer.",
    TIMED_OUT: "The host took too long to answer.",
    CONNECTION_LOST: "The connection was lost.",
}
