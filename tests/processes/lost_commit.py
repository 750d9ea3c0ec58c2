"""A proxy before PostgreSQL that lets a commit through and loses the answer to it, once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager

from tests.proxy import PIECE, Proxy, running


class CommitLoser(Proxy):
    """`marker` is text of a statement; the next commit of the same connection is the one."""

    def __init__(self, upstream_port: int, marker: bytes) -> None:
        super().__init__(upstream_port, None)
        self.lost = threading.Event()
        self._marker = marker

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        self._writers |= {writer, upstream}
        muted = asyncio.Event()
        await asyncio.gather(
            self._ask(reader, upstream, muted), self._answer(upstream_reader, writer, muted)
        )

    async def _ask(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        marked = False
        try:
            while piece := await reader.read(PIECE):
                marked = marked or self._marker in piece
                if marked and b"COMMIT\0" in piece and not self.lost.is_set():
                    muted.set()
                upstream.write(piece)
                await upstream.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(upstream)
            upstream.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        try:
            while piece := await reader.read(PIECE):
                if muted.is_set() and b"COMMIT\0" in piece:
                    self.lost.set()
                    writer.transport.abort()
                    return
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def losing_commit(upstream_port: int, marker: bytes) -> AbstractContextManager[CommitLoser]:
    return running(CommitLoser(upstream_port, marker))
