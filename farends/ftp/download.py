"""One data transfer: passive command and transfer command, data, and the reply that confirms it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Protocol

from farends.errors import (
    ConnectionLost,
    ProtocolViolation,
    Stalled,
    TlsRefused,
    TransportError,
    Truncated,
    Unreachable,
)
from farends.ftp.login import Features
from farends.ftp.reply import Reply, announced_bytes, make_refusal
from farends.ftp.session import Session
from farends.ftp.socket import FtpSocket, JudgedHost

TURN_BYTES = 1024 * 1024  # read at most this much before the other sessions have their turn
PROGRESS_BYTES = 1024  # fewer bytes than this within `idle_s` is a drip
_FIRST_READ_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_EPSV = re.compile(rb"\((.)\1\1(\d{1,5})\1\)")
_PASV = re.compile(rb"(?<!\d)\d{1,3},\d{1,3},\d{1,3},\d{1,3},(\d{1,3}),(\d{1,3})(?!\d)")

Inbox = deque[Callable[[], None]]


class TransferTaker(Protocol):
    """What a transfer's owner does with it; called from the owner's own loop, by its inbox.

    Exactly one of `on_end`, `on_refused`, `on_error` comes last. Until `on_error` the session is
    good for more, unless it is `over`.
    """

    def on_data(self, data: bytes) -> None: ...

    def on_end(self, reply: Reply, *, ragged: bool) -> None: ...

    def on_refused(self, reply: Reply) -> None: ...

    def on_error(self, error: TransportError) -> None: ...


def passive_port(reply: Reply) -> int:
    """Returns the port alone. Whatever address a host names, data come from the host itself (docs/promises.md, F07)."""
    if reply.code == 229:
        found = _EPSV.search(reply.lines[0])
        port = int(found[2]) if found is not None else 0
    else:
        found = _PASV.search(reply.lines[0])
        port = int(found[1]) * 256 + int(found[2]) if found is not None else 0
    if not 0 < port < 65536:
        raise ProtocolViolation(f"no port in the passive reply: {reply.text}")
    return port


class Download:
    """Starts at once. Data is read when the owner runs its inbox, so an owner that is busy elsewhere
    makes the host wait and nothing piles up here."""

    def __init__(
        self,
        session: Session,
        features: Features,
        place: JudgedHost,
        command: bytes,
        taker: TransferTaker,
        inbox: Inbox,
        *,
        offset: int = 0,
        turn_bytes: int = TURN_BYTES,
    ) -> None:
        self._turn_bytes = turn_bytes
        self._session = session
        self._features = features
        self._place = place
        self._command = command
        self._taker = taker
        self._inbox = inbox
        self.offset = offset
        self._data: FtpSocket | None = None
        self._port = 0
        self._readable = False
        self._commanded = False
        self._begun = False
        self._ended = False
        self._ragged = False
        self._confirmed: Reply | None = None
        self._failure: TransportError | None = None
        self._came_bytes = 0
        self._progress_bytes = 0
        self.over = False
        self.rest_refused = False
        self.told_bytes: int | None = None  # as the host announced the transfer
        session.data = self
        session.send(features.passive, self._passive_answered)
        if features.passive_known:
            self._ask()

    @property
    def wants(self) -> int:
        if self._data is None or self._readable or self._ended:
            return 0
        return self._data.wants

    @property
    def pending(self) -> bool:
        return self._data is not None and self._data.pending

    @property
    def paused(self) -> bool:
        return self._readable

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def descriptor(self) -> int:
        return -1 if self._data is None else self._data.socket.fileno()

    @property
    def came_bytes(self) -> int:
        return self._came_bytes

    def ready(self) -> None:
        self._readable = True
        self._inbox.append(self._read)

    def lost(self, error: TransportError) -> None:
        self._fail(error)

    def cancel(self) -> None:
        """The taker hears no more."""
        self.over = True
        self._shut()

    def _shut(self) -> None:
        if self._data is not None:
            self._data.close()
            self._data = None

    def _passive_answered(self, outcome: Reply | TransportError) -> None:
        if self.over or isinstance(outcome, TransportError):
            return  # of a session's end `lost` tells
        features = self._features
        if outcome.code not in (227, 229):
            if features.passive == b"EPSV" and not features.passive_known and outcome.code >= 500:
                features.passive = b"PASV"
                self._session.send(b"PASV", self._passive_answered)
            elif self._commanded:
                self._failure = make_refusal(outcome, "asking for a data connection")
            else:
                self._fail(make_refusal(outcome, "asking for a data connection"))
            return
        try:
            self._connect(passive_port(outcome))
        except TransportError as exc:
            self._session.lose(exc)
            self._fail(exc)
            return
        if not self._commanded:
            self._ask()

    def _connect(self, port: int) -> None:
        self._port = port
        self._data = self._place.towards(port)
        if self._session.tls is not None:
            self._data.secure(self._session.tls, self._session.tls_session)

    def _ask(self) -> None:
        self._commanded = True
        if self.offset:
            self._session.send(b"REST %d" % self.offset, self._rest_answered)
        self._session.send(self._command, self._answered, preliminary=True)

    def _rest_answered(self, outcome: Reply | TransportError) -> None:
        if isinstance(outcome, Reply) and outcome.code != 350:
            self.rest_refused = True  # then the data starts at the file's first byte

    def _answered(self, outcome: Reply | TransportError) -> None:
        if self.over or isinstance(outcome, TransportError):
            return
        if outcome.preliminary:
            self._begun = True
            self._features.passive_known = True
            self.told_bytes = announced_bytes(outcome)
        elif outcome.completed:
            self._confirmed = outcome
            self._settle()
        elif self._begun:
            self._fail(self._failure or _broken_off(outcome))
        elif self._failure is not None and not self._port:
            self._fail(self._failure)  # without a data connection the rest could but fail
        else:
            self._finish(lambda: self._taker.on_refused(outcome))

    def _read(self) -> None:
        self._readable = False
        left = self._turn_bytes
        size = _READ_BYTES if self._came_bytes else _FIRST_READ_BYTES
        while left > 0 and self._data is not None and not self._ended:
            try:
                data = self._data.receive(size)
            except TransportError as exc:
                self._lost(exc)
                return
            if data is None:
                return
            self._features.data_agreed = True
            if not data:
                self._ended = True
                self._ragged = self._data.ragged
                self._session.silent_s = 0.0
                self._shut()  # some hosts confirm only after this end has closed too
                self._settle()
                return
            left -= len(data)
            self._note_progress(len(data))
            self._taker.on_data(data)

    def _note_progress(self, count: int) -> None:
        self._came_bytes += count
        self._progress_bytes += count
        if self._progress_bytes >= PROGRESS_BYTES:
            self._progress_bytes = 0
            self._session.silent_s = 0.0

    def _lost(self, error: TransportError) -> None:
        """The data connection failed. Why, the control connection may tell."""
        self._ended = True
        if self._features.data_agreed:  # what came about once is neither refused nor out of reach
            error = ConnectionLost(str(error)) if isinstance(error, TlsRefused) else error
        elif not self._begun and isinstance(error, ConnectionLost):
            error = self._unreached(str(error))
        self._failure = self._failure or error
        if self._confirmed is not None:
            self._fail(self._failure)

    def _settle(self) -> None:
        confirmed = self._confirmed
        if confirmed is None or not self._ended:
            return
        if self._failure is not None:
            self._fail(self._failure)
            return
        self._finish(lambda: self._taker.on_end(confirmed, ragged=self._ragged))

    def explained(self, error: TransportError) -> TransportError:
        """What the end of the session means for this transfer."""
        if self._failure is not None:
            return self._failure
        if not isinstance(error, Stalled):
            return error
        if self._ended:
            return Stalled("the host never confirmed the transfer")
        if self._port and not self._begun:
            return self._unreached("silent")
        return error

    def _unreached(self, why: str) -> Unreachable:
        return Unreachable(
            f"no data came from the host's passive port {self._port} ({why});"
            " a firewall may block its passive ports"
        )

    def _fail(self, error: TransportError) -> None:
        self._finish(lambda: self._taker.on_error(error))

    def _finish(self, last: Callable[[], None]) -> None:
        if self.over:
            return
        self.over = True
        self._shut()
        self._session.data = None
        self._inbox.append(last)


def _broken_off(reply: Reply) -> TransportError:
    error = make_refusal(reply, "the transfer was broken off")
    if reply.code in (425, 426):
        return ConnectionLost(str(error))
    if reply.code in (450, 451, 550, 551):
        return Truncated(str(error))
    return error
