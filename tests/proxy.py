"""A TCP proxy on loopback that makes a far end slow, or cuts it: what the network does to us."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 16 * 1024


class Proxy:
    """Forwards to one port. `bytes_per_s` may be changed at any time; None is full speed."""

    def __init__(self, upstream_port: int, bytes_per_s: float | None) -> None:
        self.upstream_port = upstream_port
        self.bytes_per_s = bytes_per_s
        self.port = 0
        self.forwarded = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._stop = asyncio.Event()

    def cut(self) -> None:
        """Resets every connection there is."""
        self._loop.call_soon_threadsafe(self._cut)

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cut()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, upstream[1]}
        await asyncio.gather(
            self._pump(reader, upstream[1], slow=False), self._pump(upstream[0], writer, slow=True)
        )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool
    ) -> None:
        try:
            while piece := await reader.read(PIECE):
                writer.write(piece)
                await writer.drain()
                self.forwarded += len(piece)
                if slow and self.bytes_per_s:
                    await asyncio.sleep(len(piece) / self.bytes_per_s)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@contextmanager
def proxying(upstream_port: int, *, bytes_per_s: float | None = None) -> Iterator[Proxy]:
    proxy = Proxy(upstream_port, bytes_per_s)
    thread = threading.Thread(target=proxy.run, name="proxy")
    thread.start()
    proxy.wait_until_ready()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
