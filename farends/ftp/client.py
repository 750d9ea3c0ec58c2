"""FTP over a few control connections, in one thread: whoever pumps serves every transfer in flight.

Data connections are passive only: this end never listens.
"""

from __future__ import annotations

import contextlib
import select
import time
from dataclasses import replace

from farends.contract import Context
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    ProtocolViolation,
    Stalled,
    TransportError,
)
from farends.ftp.command import line
from farends.ftp.download import TURN_BYTES, Download, Inbox, TransferTaker
from farends.ftp.login import Features, FtpLogin, whole
from farends.ftp.session import Session
from farends.ftp.socket import FtpSocket, JudgedHost, Tls

SESSIONS_NEAR = 4
SESSIONS_FAR = 16  # a file takes several round trips, so only many at once fill a long line
FAR_S = 0.005
LOSSES_MAX = 3  # sessions lost in a row with nothing done between: that is the host, not a file
CONFIRM_S = 20.0  # how long a host may take to confirm a transfer whose data is through
_SLICE_S = 0.5
_CHECK_EVERY_S = 0.5


class FtpClient:
    """Keeps at most `sessions`; 0: by the distance. They are taken, and released or dropped. Every owner gets one at least: whoever waits for
    another's session to come free could wait for itself."""

    def __init__(
        self,
        host: str,
        port: int,
        login: FtpLogin,
        context: Context,
        *,
        sessions: int = 0,
        tls: Tls | None = None,
        implicit: bool = False,
    ) -> None:
        self.features = Features()
        self._host = host
        self._port = port
        self._login = login
        self._context = context
        self._limit = sessions or SESSIONS_NEAR
        self._by_distance = not sessions
        self._tls = tls
        self._implicit = implicit
        self._place = JudgedHost("")
        self._sessions: list[Session] = []
        self._full: TransportError | None = None
        self._losses = 0
        self._checked_at = time.monotonic()

    def start(self) -> None:
        """Logs the first session in, so that what is wrong shows early."""
        patience = self._context.patience
        dialer = self._context.dialer
        asked = self._host
        if dialer.proxy is not None:
            asked = dialer.resolve_elsewhere(self._host, self._port)[0]
        dialled = dialer.dial(asked, self._port, timeout_s=patience.connect_s)
        try:
            peer = dialled.getpeername()[0].partition("%")[0]
        except OSError as exc:
            dialled.close()
            raise ConnectionLost(
                "the host ended the connection", stage=ConnectionStage.CONNECT
            ) from exc
        self._place = JudgedHost(peer, policy=dialer.policy, receive_bytes=dialer.receive_bytes)
        if dialer.proxy is not None:
            self._place = replace(
                self._place, address=asked, proxy=dialer.proxy, proxy_address=peer
            )
        session = self._log_in(FtpSocket(dialled), owner=self, first=True)
        while not session.logged_in:
            self.pump()
        if session.failure is not None:  # in one breath with the log-in
            raise session.failure
        if self._by_distance and session.round_trip_s > FAR_S:
            self._limit = SESSIONS_FAR

    def take(self, owner: object) -> Session | None:
        """A session for `owner`, or None while there is none; asked again after each pump, it comes.

        Raises Throttled where the host grants `owner` none at all.
        """
        for session in self._sessions:
            if session.owner is None and not session.over:
                session.owner = owner
                return session
        mine = sum(session.owner is owner for session in self._sessions)
        if len(self._sessions) < self._limit or not mine:
            if self._full is not None and len(self._sessions) >= self._limit:
                raise self._full
            # As many at a time as are granted already: a host that is full says so to few.
            logging_in = sum(s.owner is owner and not s.logged_in for s in self._sessions)
            if logging_in < max(1, len(self._sessions) - logging_in):
                self._open(owner)
        return None

    def release(self, session: Session, *, well: bool = True) -> None:
        """`well`: it did what was asked of it."""
        if well:
            self._losses = 0
        session.owner = None

    def drop(self, session: Session) -> None:
        """Ends a session that stopped in the middle: nobody can tell what comes next."""
        if session.data is not None:
            session.data.cancel()
        session.lose(ConnectionLost("the transfer was given up"))
        with contextlib.suppress(ValueError):
            self._sessions.remove(session)

    def download(
        self,
        session: Session,
        verb: bytes,
        path: bytes,
        taker: TransferTaker,
        inbox: Inbox,
        *,
        offset: int = 0,
        turn_bytes: int = TURN_BYTES,
    ) -> Download:
        """Raises UnsafeName. An empty path asks for the folder that the session is in."""
        command = self.line(verb, path) if path else verb
        place, features = self._place, self.features
        return Download(
            session, features, place, command, taker, inbox, offset=offset, turn_bytes=turn_bytes
        )

    def line(self, verb: bytes, path: bytes) -> bytes:
        return line(verb, path, telnet=self.features.telnet)

    def pump(self) -> None:
        """Sends what is queued and waits up to half a second for the host.

        Raises what concerns the host and no single transfer, and whatever `check` raises.
        """
        for session in self._sessions:
            session.flush()
        self._serve()
        for session in [s for s in self._sessions if s.over]:
            self._retire(session)
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_EVERY_S:
            self._checked_at = now
            self._context.check()
            if any(session.grace_s for session in self._sessions):
                self._context.moved()

    def close(self) -> None:
        while self._sessions:
            self._sessions.pop().lose(ConnectionLost("the connection was closed"))

    def _open(self, owner: object) -> None:
        """Opens another session, to the address that was judged when the first was dialled."""
        self._log_in(self._place.towards(self._port), owner=owner, first=False)

    def _log_in(self, control: FtpSocket, *, owner: object, first: bool) -> Session:
        session = Session(control, self._tls)
        session.owner = owner
        self._sessions.append(session)

        def done(error: TransportError | None) -> None:
            if error is not None:
                session.lose(error)
            else:
                session.logged_in = True
                session.silent_s = 0.0
                session.owner = None

        dialog = whole(
            self._login, self.features, tls=bool(self._tls), implicit=self._implicit, first=first
        )
        session.converse(dialog, done)
        return session

    def _serve(self) -> None:
        waiting = select.poll()
        controls: dict[int, Session] = {}
        datas: dict[int, Session] = {}
        timeout_s = _SLICE_S
        for session in self._sessions:
            if session.over:
                timeout_s = 0.0
                continue
            descriptor = session.control.socket.fileno()
            controls[descriptor] = session
            waiting.register(descriptor, session.wants)
            data = session.data
            if data is not None and data.wants:
                datas[data.descriptor] = session
                waiting.register(data.descriptor, data.wants)
                if data.pending:
                    timeout_s = 0.0
        began = time.monotonic()
        events = waiting.poll(timeout_s * 1000)
        waited_s = time.monotonic() - began
        for session in self._sessions:
            self._note_silence(session, waited_s)
        silences = [(session, session.silent_s) for session in self._sessions]
        ready = {descriptor for descriptor, _ in events}
        # Control first: a data connection that is refused has its reason there.
        for descriptor in ready & controls.keys():
            controls[descriptor].flush()
            controls[descriptor].receive()
        for descriptor, session in datas.items():
            data = session.data
            if data is not None and data.wants and (descriptor in ready or data.pending):
                data.ready()
        if any(session.silent_s < before_s for session, before_s in silences):
            self._context.moved()

    def _note_silence(self, session: Session, waited_s: float) -> None:
        data = session.data
        if not session.waiting or (data is not None and data.paused):
            return
        session.silent_s += waited_s
        patience = self._context.patience
        if not session.logged_in:
            limit_s, stage = patience.log_in_s, ConnectionStage.LOG_IN
        elif data is not None and data.ended:
            limit_s, stage = min(patience.idle_s, CONFIRM_S), ConnectionStage.READ
        else:
            limit_s, stage = patience.idle_s + session.grace_s, ConnectionStage.READ
        if session.silent_s > limit_s:
            session.lose(Stalled(f"too little came from the host in {limit_s:g} s", stage=stage))

    def _retire(self, session: Session) -> None:
        """Forgets a session that ended; raises why, where no other is left or too many end so."""
        self._sessions.remove(session)
        error = session.failure
        idle = session.logged_in and session.owner is None
        if error is None or (idle and not isinstance(error, ProtocolViolation)):
            return  # idle for too long, as the host saw it
        if not session.logged_in:
            if not any(other.logged_in for other in self._sessions):
                raise error
            # The host grants no more than these; the work goes on with them.
            self._limit, self._full = max(1, len(self._sessions)), error
            return
        if isinstance(error, ProtocolViolation):
            # Another one might do the same: the log-ins of a host that speaks out of turn have an end.
            self._limit = max(1, self._limit - 1)
        self._losses += 1
        if self._losses >= LOSSES_MAX:
            raise error
