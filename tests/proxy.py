"""A TCP proxy on loopback: what the network does to us."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

PIECE = 16 * 1024
_RESET = struct.pack("ii", 1, 0)  # linger for 0 s: the peer gets a reset, not an end


@dataclass(frozen=True, slots=True)
class Weather:
    """What the proxy does to connections; the default is nothing."""

    bytes_per_s: float | None = None  # towards the client
    delay_s: float = 0.0  # before each piece, both ways
    cut_after_bytes: int | None = None  # of one connection, towards the client: then it is reset
    stalled: bool = False  # what comes waits until that is over
    deaf: bool = False  # what comes is lost; a connection that lost bytes stays silent for good
    refusing: bool = False  # new connections are reset


class Proxy:
    """Forwards to one port. `weather` may be changed at any time."""

    def __init__(self, upstream_port: int, bytes_per_s: float | None, port: int = 0) -> None:
        self.upstream_port = upstream_port
        self.weather = Weather(bytes_per_s=bytes_per_s)
        self.port = port
        self.forwarded = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._stop = asyncio.Event()

    @property
    def bytes_per_s(self) -> float | None:
        return self.weather.bytes_per_s

    @bytes_per_s.setter
    def bytes_per_s(self, speed: float | None) -> None:
        self.weather = replace(self.weather, bytes_per_s=speed)

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
            _reset(writer)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._cut()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.refusing:
            _reset(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.close()
            return
        connection = _Connection(writer, upstream[1])
        self._writers |= {writer, upstream[1]}
        await asyncio.gather(
            self._pump(connection, reader, upstream[1], to_client=False),
            self._pump(connection, upstream[0], writer, to_client=True),
        )

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        to_client: bool,
    ) -> None:
        try:
            while piece := await reader.read(PIECE):
                if not await self._let_pass(connection, len(piece), to_client=to_client):
                    continue
                writer.write(piece)
                await writer.drain()
                self.forwarded += len(piece)
                if to_client and (speed := self.weather.bytes_per_s):
                    await asyncio.sleep(len(piece) / speed)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _let_pass(self, connection: _Connection, size: int, *, to_client: bool) -> bool:
        """Whether a piece goes on; it may have to wait."""
        if self.weather.delay_s:
            await asyncio.sleep(self.weather.delay_s)
        while self.weather.stalled:
            await asyncio.sleep(0.05)
        if self.weather.deaf:
            connection.deaf = True
        if to_client:
            connection.to_client_bytes += size
            limit = self.weather.cut_after_bytes
            if limit is not None and connection.to_client_bytes > limit:
                _reset(connection.client)
                _reset(connection.upstream)
                return False
        return not connection.deaf


@dataclass(slots=True)
class _Connection:
    client: asyncio.StreamWriter
    upstream: asyncio.StreamWriter
    to_client_bytes: int = 0
    deaf: bool = False


def _reset(writer: asyncio.StreamWriter) -> None:
    connected: socket.socket | None = writer.get_extra_info("socket")
    if connected is not None and connected.fileno() >= 0:
        try:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # it is over already
    writer.transport.abort()


P = TypeVar("P", bound=Proxy)


@contextmanager
def proxying(
    upstream_port: int, *, bytes_per_s: float | None = None, port: int = 0
) -> Iterator[Proxy]:
    with running(Proxy(upstream_port, bytes_per_s, port)) as proxy:
        yield proxy


@contextmanager
def running(proxy: P) -> Iterator[P]:
    """Serves in a thread of its own."""
    thread = threading.Thread(target=proxy.run, name=type(proxy).__name__)
    thread.start()
    proxy.wait_until_ready()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
