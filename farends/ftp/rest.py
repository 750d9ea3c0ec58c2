"""Tests whether a host's REST does what it says.

No reply tells this: a host may agree to REST and then send the file from its start (docs/promises.md, F05).
So REST is tried on a file's last byte: exactly one byte must come.
"""

from __future__ import annotations

from typing import Protocol

from farends.errors import TransportError
from farends.ftp.client import FtpClient
from farends.ftp.download import Inbox, TransferTaker
from farends.ftp.reply import Reply
from farends.ftp.session import Session


class TrialTaker(TransferTaker, Protocol):
    def rest_tried(self) -> None:
        """`Features.rest_honoured` is known now. The session may be over."""
        ...


class RestTrial:
    """Asks for the last byte of a file of two bytes or more; what else comes of it, the taker hears."""

    def __init__(
        self,
        client: FtpClient,
        session: Session,
        path: bytes,
        size_bytes: int,
        taker: TrialTaker,
        inbox: Inbox,
    ) -> None:
        self._client = client
        self._session = session
        self._taker = taker
        self._download = client.download(session, b"RETR", path, self, inbox, offset=size_bytes - 1)

    def on_data(self, data: bytes) -> None:
        if self._download.came_bytes > 1:
            self._client.drop(self._session)
            self._tell(honoured=False)

    def on_end(self, reply: Reply, *, ragged: bool) -> None:
        self._tell(honoured=self._download.came_bytes == 1 and not self._download.rest_refused)

    def on_refused(self, reply: Reply) -> None:
        self._taker.on_refused(reply)

    def on_error(self, error: TransportError) -> None:
        self._taker.on_error(error)

    def _tell(self, *, honoured: bool) -> None:
        self._client.features.rest_honoured = honoured
        self._taker.rest_tried()
