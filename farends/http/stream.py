"""One remote file as a stream over HTTP, from any byte on."""

from __future__ import annotations

import io
from collections import deque
from typing import TYPE_CHECKING

from farends.errors import ProtocolViolation, TransportError
from farends.http.client import HttpClient
from farends.http.entries import whole_size
from farends.http.exchange import Exchange, Inbox
from farends.web.answers import check_coding, status_error
from farends.web.response import Head
from farends.web.url import Url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class HttpFile(io.RawIOBase):
    """Reads raise TransportError's children. Where the host ignores the range, the bytes before the
    offset are read and dropped, never taken for those after it."""

    def __init__(self, client: HttpClient, url: Url, offset: int) -> None:
        super().__init__()
        self._client = client
        self._inbox = Inbox()
        self._offset = offset
        self._to_drop = 0
        self._chunks: deque[memoryview] = deque()
        self._begun = False
        self._over = False
        fields = {"Range": f"bytes={offset}-"} if offset else {}
        self._exchange = Exchange(client, self._inbox, self, "GET", url, fields=fields, alone=True)
        client.submit(self._exchange)
        try:
            while not self._begun:
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
        if not self.closed:
            self._exchange.cancel()
            self._chunks.clear()
        super().close()

    def on_head(self, head: Head) -> None:
        self._client.note_host(head)
        self._begun = True
        if head.status == 416 and self._offset:
            self._over = True  # the offset is at or past the end
            self._exchange.cancel()
            return
        if head.status not in (200, 206) or (head.status == 206 and not self._offset):
            raise status_error(head, "reading the file")
        check_coding(head)
        if not head.framed:
            raise ProtocolViolation("the host tells neither the file's length nor its end")
        if head.status == 200:
            self._to_drop = self._offset
            if self._offset:
                self._client.note_ranges(work=False)
            return
        whole_size(head, self._offset)
        self._client.note_ranges(work=True)

    def on_data(self, data: memoryview) -> None:
        dropped = min(self._to_drop, len(data))
        self._to_drop -= dropped
        if len(data) > dropped:
            self._chunks.append(data[dropped:])

    def on_end(self) -> None:
        self._over = True

    def on_error(self, error: TransportError) -> None:
        raise error

    def _step(self) -> None:
        if self._inbox.todo:
            self._inbox.run_one()
        else:
            self._client.pump()
