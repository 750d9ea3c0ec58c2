"""One remote file as a stream over FTP, from any byte on."""

from __future__ import annotations

import io
from collections import deque
from typing import TYPE_CHECKING

from farends.errors import PermissionRefused, TransportError, Truncated, Unstable, Vanished
from farends.ftp.client import FtpClient
from farends.ftp.describe import Described, ask_description
from farends.ftp.download import Download, Inbox
from farends.ftp.reply import Reply, is_ambiguous, make_refusal
from farends.ftp.rest import RestTrial
from farends.ftp.rows import Kind
from farends.ftp.session import Session

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DOING = "reading the file"


class FtpFile(io.RawIOBase):
    """Reads raise TransportError's children. Where REST is not honoured, what lies before the offset
    is read and dropped, never taken for what lies after it."""

    def __init__(self, client: FtpClient, path: bytes, offset: int) -> None:
        super().__init__()
        self._client = client
        self._path = path
        self._inbox: Inbox = deque()
        self._chunks: deque[memoryview] = deque()
        self._session: Session | None = None
        self._download: Download | None = None
        self._described: Described | None = None
        self._expected_bytes: int | None = None  # of the transfer, where the size is known
        self._to_drop = offset
        self._begun = False
        self._over = False
        try:
            self._begin(offset)
            while not (self._begun or self._over):
                self._step()
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        while not self._chunks:
            if self._over:
                return 0
            self._step()
        first = self._chunks[0]
        count = min(len(into), len(first))
        into[:count] = first[:count]
        if count == len(first):
            self._chunks.popleft()
        else:
            self._chunks[0] = first[count:]
        return count

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            if self._over and not session.over:
                self._client.release(session)
            else:
                self._client.drop(session)
        super().close()

    def on_data(self, data: bytes) -> None:
        self._begun = True
        came = 0 if self._download is None else self._download.came_bytes
        expected = self._expected_bytes
        if expected is not None and came > expected:
            raise Unstable(f"{came} bytes came where {expected} were left")
        dropped = min(self._to_drop, len(data))
        self._to_drop -= dropped
        if len(data) > dropped:
            self._chunks.append(memoryview(data)[dropped:])

    def on_end(self, reply: Reply, *, ragged: bool) -> None:
        came = 0 if self._download is None else self._download.came_bytes
        expected = self._expected_bytes
        if expected is not None and came < expected:
            raise Truncated(f"{came} of {expected} bytes came")
        if expected is None and ragged:
            raise Truncated("the file's end was cut off under TLS")
        self._over = True

    def on_refused(self, reply: Reply) -> None:
        self._over = True
        described = self._described
        if is_ambiguous(reply) and described is not None and described.known:
            if described.kind not in (None, Kind.FILE):
                raise Vanished("it is no regular file")
            raise PermissionRefused(str(make_refusal(reply, DOING)))
        raise make_refusal(reply, DOING)

    def on_error(self, error: TransportError) -> None:
        raise error

    def rest_tried(self) -> None:
        return None

    def _begin(self, offset: int) -> None:
        session = self._take()
        ask_description(self._client, session, self._path, self._note)
        if offset:
            while self._described is None:
                self._step()
            size = self._described.size_bytes
            if size is not None and offset >= size:
                self._over = True
                return
            if size is not None and self._honours_rest(size):
                self._to_drop = 0
                self._start(offset)
                return
        self._start(0)

    def _start(self, offset: int) -> None:
        self._download = self._client.download(
            self._take(), b"RETR", self._path, self, self._inbox, offset=offset
        )
        if self._described is not None:
            self._expect(self._described)

    def _note(self, described: Described) -> None:
        self._described = described
        self._expect(described)

    def _expect(self, described: Described) -> None:
        if described.size_bytes is not None and self._download is not None:
            self._expected_bytes = described.size_bytes - self._download.offset

    def _honours_rest(self, size: int) -> bool:
        features = self._client.features
        if features.rest_honoured is None:
            RestTrial(self._client, self._take(), self._path, size, self, self._inbox)
            while features.rest_honoured is None:
                self._step()
        return features.rest_honoured

    def _take(self) -> Session:
        if self._session is None or self._session.over:
            while (session := self._client.take(self)) is None:
                self._step()
            self._session = session
        return self._session

    def _step(self) -> None:
        if self._inbox:
            self._inbox.popleft()()
        else:
            self._client.pump()
