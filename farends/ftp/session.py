"""One control connection: commands go out, and each reply goes to whoever waits for it, in order."""

from __future__ import annotations

import math
import select
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from farends.errors import ConnectionLost, ProtocolViolation, Throttled, TransportError
from farends.ftp.login import Ask, Dialog
from farends.ftp.reply import Reply, ReplyReader
from farends.ftp.socket import FtpSocket, Tls

PRELIMINARIES_MAX = 16
_RECEIVE_BYTES = 64 * 1024
_SECURED = Reply(0)

Answer = Callable[[Reply | TransportError], None]


class DataEnd(Protocol):
    """The data connection that belongs to a session, as the client's loop sees it."""

    @property
    def wants(self) -> int: ...

    @property
    def pending(self) -> bool: ...

    @property
    def paused(self) -> bool: ...

    @property
    def descriptor(self) -> int: ...

    @property
    def ended(self) -> bool: ...

    def ready(self) -> None: ...

    def explained(self, error: TransportError) -> TransportError: ...

    def lost(self, error: TransportError) -> None: ...

    def cancel(self) -> None: ...


@dataclass(slots=True)
class _Expected:
    answer: Answer
    preliminary: bool
    preliminaries: int = 0


class Session:
    """Answers are called once with a final reply or with the error that ended the session, and must
    not raise. An answer that takes preliminary replies is called with those too."""

    def __init__(self, control: FtpSocket, tls: Tls | None) -> None:
        self.control = control
        self.tls = tls
        self.owner: object | None = None  # who works with it; None: idle, or its log-in is over
        self.logged_in = False
        self.silent_s = 0.0  # waited without progress
        self.grace_s = 0.0  # granted on top, to a host that reads files before it answers
        self.hashes_chosen = False  # whether it was told which digest HASH is to compute
        self.round_trip_s = math.inf  # the shortest time from a question to its answer, of a dialog
        self.failure: TransportError | None = None
        self.data: DataEnd | None = None
        self._expected: deque[_Expected] = deque()
        self._outgoing = bytearray()
        self._reader = ReplyReader()
        self._on_secured: Answer | None = None
        self._tls_session: ssl.SSLSession | None = None

    @property
    def over(self) -> bool:
        return self.failure is not None

    @property
    def tls_session(self) -> ssl.SSLSession | None:
        """What data connections resume, kept: each look at a socket's own copies its certificates."""
        if self._tls_session is None:
            self._tls_session = self.control.tls_session
        return self._tls_session

    @property
    def waiting(self) -> bool:
        return bool(self._expected or self.data) or self._on_secured is not None

    @property
    def wants(self) -> int:
        if self._on_secured is not None:
            return self.control.wants
        return self.control.wants | (select.POLLOUT if self._outgoing else 0)

    def send(self, command: bytes, answer: Answer, *, preliminary: bool = False) -> None:
        """Queues a command; it leaves with the next pump, together with its neighbours."""
        self._outgoing += command + b"\r\n"
        self.expect(answer, preliminary=preliminary)

    def expect(self, answer: Answer, *, preliminary: bool = False) -> None:
        if self.failure is not None:
            answer(self.failure)
            return
        if not self._expected and self.logged_in:
            self.silent_s = 0.0
        self._expected.append(_Expected(answer, preliminary))

    def converse(self, dialog: Dialog, done: Callable[[TransportError | None], None]) -> None:
        """Leads a dialog; `done` gets the error that it came to, if any."""

        asked_at = math.inf

        def step(outcome: Reply | TransportError | None) -> None:
            nonlocal asked_at
            self.round_trip_s = min(self.round_trip_s, abs(time.monotonic() - asked_at))
            if isinstance(outcome, TransportError):
                dialog.close()
                done(outcome)
                return
            try:
                asked = next(dialog) if outcome is None else dialog.send(outcome)
            except StopIteration:
                done(None)
            except TransportError as exc:
                done(exc)
            else:
                asked_at = time.monotonic() if isinstance(asked, bytes) else math.inf
                self._ask(asked, step)

        step(None)

    def flush(self) -> None:
        if not self._outgoing or self._on_secured is not None:
            return
        try:
            sent = self.control.send(self._outgoing)
        except ConnectionLost as exc:
            self.lose(exc)
        else:
            del self._outgoing[:sent]

    def receive(self) -> None:
        """Reads what is there and serves every whole reply among it."""
        try:
            while not self.over and self._secured():
                data = self.control.receive(_RECEIVE_BYTES)
                if data is None:
                    return
                if not data:
                    raise ConnectionLost("the host ended the control connection")
                for reply in self._reader.feed(data):
                    self._serve(reply)
        except TransportError as exc:
            self.lose(exc)

    def _secured(self) -> bool:
        """Goes on with a handshake that is under way. Returns whether there is none to wait for."""
        if self._on_secured is None:
            return True
        if not self.control.shake():
            return False
        answer, self._on_secured = self._on_secured, None
        answer(_SECURED)
        return True

    def lose(self, error: TransportError) -> None:
        """Ends the session; whoever waits learns why."""
        if self.failure is not None:
            return
        if self.data is not None:
            error = self.data.explained(error)
        self.failure = error
        self.control.close()
        if self.data is not None:
            self.data.lost(error)
        waiting, self._expected = self._expected, deque()
        for expected in waiting:
            expected.answer(error)
        if self._on_secured is not None:
            answer, self._on_secured = self._on_secured, None
            answer(error)

    def _ask(self, asked: bytes | Ask, answer: Answer) -> None:
        if isinstance(asked, bytes):
            self.send(asked, answer)
        elif asked is Ask.GREETING:
            self.expect(answer)
        elif self._reader.pending or self.tls is None:
            # What came before the handshake came from nobody in particular.
            self.lose(ProtocolViolation("the host sent plain text after agreeing on TLS"))
            answer(self.failure or ConnectionLost())
        else:
            self.control.secure(self.tls)
            self._on_secured = answer

    def _serve(self, reply: Reply) -> None:
        if self._on_secured is not None:
            raise ProtocolViolation("the host sent plain text after agreeing on TLS")
        if reply.code == 421:
            raise Throttled(f"the host ends the session: {reply.text} (421)")
        if not self._expected:
            raise ProtocolViolation(f"the host answered what was not asked: {reply.text}")
        expected = self._expected[0]
        if reply.preliminary:
            expected.preliminaries += 1
            if expected.preliminaries > PRELIMINARIES_MAX:
                raise ProtocolViolation("preliminary replies without end")
            if not expected.preliminary:
                return
        else:
            self._expected.popleft()
            if self.logged_in:  # a log-in has one budget for all of its replies
                self.silent_s = 0.0
        expected.answer(reply)
