"""A proxy on loopback that really relays: SOCKS5 or HTTP CONNECT, with or without a password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

USERNAME, PASSWORD = "walker", "canary: over there"
_REFUSED = {"socks5": 2, "http": 403}


@dataclass
class ProxyServer:
    """`asked` is what it was asked for, in order; `names` what it knows and nobody else does."""

    scheme: str
    locked: bool = False
    forbids: Callable[[int], bool] = lambda port: False
    silent: bool = False
    names: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    port: int = 0
    forwarded: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks = []
        try:
            if self.silent:
                await reader.read()
                return
            upstream = await (self._socks5 if self.scheme == "socks5" else self._http)(
                reader, writer
            )
            if upstream is not None:
                tasks = [
                    asyncio.ensure_future(self._pump(reader, upstream[1])),
                    asyncio.ensure_future(self._pump(upstream[0], writer)),
                ]
                await asyncio.gather(*tasks)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(64 * 1024):
                self.forwarded += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _socks5(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        _, count = await reader.readexactly(2)
        way = 2 if self.locked else 0
        if way not in await reader.readexactly(count):
            writer.write(b"\x05\xff")
            return None
        writer.write(bytes([5, way]))
        if self.locked:
            await reader.readexactly(1)
            given = await _counted(reader), await _counted(reader)
            good = given == (USERNAME, PASSWORD)
            writer.write(bytes([1, not good]))
            if not good:
                return None
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = await _counted(reader)
        else:
            packed = await reader.readexactly(4 if kind == 1 else 16)
            host = str(ipaddress.ip_address(packed))
        port = int.from_bytes(await reader.readexactly(2), "big")
        code, upstream = await self._dial(host, port)
        # The address it connects from may be a name, for all that a client knows.
        writer.write(bytes([5, code, 0, 3, 3]) + b"out" + b"\0\0")
        return upstream

    async def _http(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode())
        if self.locked and b"Proxy-Authorization: Basic " + pair + b"\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return None
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        code, upstream = await self._dial(host.strip("[]"), int(port))
        status = {0: "200 Go on", 2: "403 Not there", 5: "502 Nobody there"}[code]
        writer.write(f"HTTP/1.1 {status}\r\nVia: tests\r\n\r\n".encode())
        return upstream

    async def _dial(
        self, host: str, port: int
    ) -> tuple[int, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
        self.asked.append((host, port))
        if self.forbids(port):
            return 2, None
        try:
            return 0, await asyncio.open_connection(self.names.get(host, host), port)
        except OSError:
            return 5, None


async def _counted(reader: asyncio.StreamReader) -> str:
    return (await reader.readexactly((await reader.readexactly(1))[0])).decode()


@contextlib.contextmanager
def running_proxy(server: ProxyServer) -> Iterator[ProxyServer]:
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, name="tests.proxy")
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
