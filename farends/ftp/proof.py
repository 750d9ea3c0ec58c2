"""Proves that the bytes here are the beginning of the host's file, by HASH with RANG or by XSHA256.

An owner may replace a file quietly, by one of the same size and time. Only a digest shows that. (Hosts that
forget REST are another matter: `farends.ftp.rest`.)
"""

from __future__ import annotations

from typing import Protocol

from farends.contract import Receiver
from farends.errors import TransportError, UnsafeName
from farends.ftp.client import FtpClient
from farends.ftp.digests import SLOWEST_BYTES_S
from farends.ftp.download import Inbox
from farends.ftp.login import HASH, XSHA256
from farends.ftp.reply import Reply
from farends.ftp.session import Session

_WHOLE_AGAIN = b"RANG 1 0"  # draft-bryan-ftpext-hash: a start behind the end takes the range back


class ProofTaker(Protocol):
    def prefix_tried(self) -> None:
        """The receiver was rewound unless its bytes are proved. The session may be over."""
        ...


class PrefixProof:
    """One question about one file. What a session's end takes away is not proved."""

    def __init__(
        self,
        client: FtpClient,
        session: Session,
        path: bytes,
        receiver: Receiver,
        taker: ProofTaker,
        inbox: Inbox,
    ) -> None:
        self._session = session
        self._receiver = receiver
        self._taker = taker
        self._inbox = inbox
        self._size_bytes = receiver.offset
        self._verb = client.features.prefix_digests
        commands = self._commands(client, path)
        session.grace_s = self._size_bytes / SLOWEST_BYTES_S
        for command in commands:
            asks = command.startswith(self._verb)
            session.send(command, self._answered if asks else _no_matter)
        if not commands:
            inbox.append(lambda: self._tell(proved=False))

    def _commands(self, client: FtpClient, path: bytes) -> list[bytes]:
        """None at all for a name that the host could take for another's."""
        try:
            if self._verb == HASH:
                asked = client.line(HASH, path)
                self._session.hashes_chosen = True
                rang = b"RANG 0 %d" % (self._size_bytes - 1)  # the last byte is in it
                return [b"OPTS HASH SHA-256", rang, asked, _WHOLE_AGAIN]
            if self._verb == XSHA256 and not any(sign in path for sign in b' "'):
                return [client.line(XSHA256, path) + b" 0 %d" % self._size_bytes]
        except UnsafeName:
            pass
        return []

    def _answered(self, outcome: Reply | TransportError) -> None:
        self._inbox.append(lambda: self._judge(outcome))

    def _judge(self, outcome: Reply | TransportError) -> None:
        """Whatever range the host has read: with this digest its bytes are those that are here."""
        said = b""
        if isinstance(outcome, Reply) and outcome.completed:
            said = b" ".join(outcome.lines).lower()
        self._tell(proved=self._receiver.prefix_sha256().hex().encode() in said)

    def _tell(self, *, proved: bool) -> None:
        self._session.grace_s = 0.0
        if not proved:
            self._receiver.rewind()
        self._taker.prefix_tried()


def _no_matter(outcome: Reply | TransportError) -> None:
    """The answer to the next command tells."""
