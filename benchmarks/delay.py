"""`python -m benchmarks.delay MS PORT…`: a far end one round trip of MS milliseconds away.

Listens on 127.0.0.2 at each port and forwards to 127.0.0.1 at the same, every byte half a round trip late
and none before the connection's own round trip is over. A host whose data connections are passive is
asked to use the ports that are named.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence

NEAR, FAR = "127.0.0.2", "127.0.0.1"
WAITING_BYTES_MAX = 16 << 20


class _Way(asyncio.Protocol):
    """One direction: what `self` receives leaves by `other`, late."""

    def __init__(self, round_trip_s: float) -> None:
        self.other: _Way | None = None
        self.opened_at = 0.0  # when the far side counts as connected
        self._delay_s = round_trip_s / 2
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()  # b"": the end
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("not a stream")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._queue(data)

    def eof_received(self) -> bool:
        self._queue(b"")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._queue(b"")

    def release(self) -> None:
        """Sends what is due."""
        self._timer = None
        peer = self.other._transport if self.other is not None else None
        now = time.monotonic()
        while peer is not None and self._waiting and self._waiting[0][0] <= now:
            _, data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            if data:
                peer.write(data)
            elif peer.can_write_eof() and not peer.is_closing():
                with contextlib.suppress(OSError):  # it has closed already
                    peer.write_eof()
        if self._transport is not None and self._waiting_bytes < WAITING_BYTES_MAX:
            self._transport.resume_reading()
        self._schedule()

    def _queue(self, data: bytes) -> None:
        due = max(time.monotonic(), self.opened_at) + self._delay_s
        self._waiting.append((due, data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= WAITING_BYTES_MAX and self._transport is not None:
            self._transport.pause_reading()
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None and self._waiting and self.other is not None:
            wait_s = max(0.0, self._waiting[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.release)


class _Accepted(_Way):
    """The near side of a connection."""

    def __init__(self, round_trip_s: float, port: int) -> None:
        super().__init__(round_trip_s)
        self._round_trip_s = round_trip_s
        self._port = port
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.opened_at = time.monotonic() + self._round_trip_s
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        await asyncio.sleep(self._round_trip_s)
        far = _Way(self._round_trip_s)
        far.other = self
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: far, FAR, self._port)
        except OSError:
            if self._transport is not None:
                self._transport.abort()
            return
        self.other = far
        self._schedule()


async def serve(round_trip_s: float, ports: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(
            lambda port=port: _Accepted(round_trip_s, port),  # type: ignore[misc]  # bound early
            NEAR,
            port,
            backlog=512,
        )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


@contextlib.contextmanager
def delaying(round_trip_ms: int, ports: Sequence[int]) -> Iterator[None]:
    """Runs it beside us, for as long as the context lasts."""
    command = [sys.executable, "-m", "benchmarks.delay", str(round_trip_ms), *map(str, ports)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 — our own
    try:
        if child.stdout is None or child.stdout.readline().strip() != "ready":
            raise RuntimeError("the delay proxy did not start")
        yield
    finally:
        child.terminate()
        child.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) / 1000, [int(port) for port in sys.argv[2:]]))
