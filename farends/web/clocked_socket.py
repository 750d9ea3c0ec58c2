"""A socket for a library that blocks: whoever reads or writes it keeps every clock, and can be stopped.

A library's own time-outs count each silence anew, so a drip passes them, and nobody can ask a blocking
read to stop. Here one wait lasts half a second at most, and between two waits the clocks are looked at.
"""

from __future__ import annotations

import io
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from farends.errors import Stalled

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_SLICE_S = 0.5
_WANTS_TO_READ = (BlockingIOError, ssl.SSLWantReadError)


class Clocks:
    """The clocks of one exchange: it ends in time, it moves on, and nobody has stopped it.

    Only time that is spent waiting for the host counts as silence. Whatever `check` raises is also kept
    in `stopped_by`, because a library between us may take it for an error of its own.
    """

    def __init__(
        self,
        check: Callable[[], None],
        moved: Callable[[], None],
        *,
        idle_s: float,
        progress_bytes: int,
    ) -> None:
        self.stopped_by: BaseException | None = None
        self._check = check
        self._moved = moved
        self._idle_s = idle_s
        self._progress_bytes = progress_bytes
        self._total_s = 0.0
        self._ends_at = 0.0
        self._checked_at = 0.0
        self._silent_s = 0.0
        self._moved_bytes = 0

    def start(self, total_s: float) -> None:
        self._total_s = total_s
        self._ends_at = time.monotonic() + total_s
        self._checked_at = self._silent_s = 0.0
        self._moved_bytes = 0
        self.stopped_by = None

    def look(self) -> None:
        """Raises Stalled where the whole takes too long, and whatever `check` raises."""
        now = time.monotonic()
        if now > self._ends_at:
            raise Stalled(f"the host took longer than {self._total_s:g} s for the whole answer")
        if now - self._checked_at < _SLICE_S:
            return
        self._checked_at = now
        try:
            self._check()
        except BaseException as exc:
            self.stopped_by = exc
            raise

    def wait(self, connected: socket.socket, events: int) -> None:
        """Until the socket is ready. Raises what `look` raises, and Stalled for a drip."""
        waiting = select.poll()
        waiting.register(connected, events)
        ready = False
        while not ready:
            self.look()
            began = time.monotonic()
            left_s = max(self._ends_at - began, 0.0)
            ready = bool(waiting.poll(min(left_s, _SLICE_S) * 1000))
            self._silent_s += time.monotonic() - began
            if self._silent_s > self._idle_s:
                raise Stalled(
                    f"under {self._progress_bytes} bytes went to or came from the host in"
                    f" {self._idle_s:g} s"
                )

    def count(self, moved_bytes: int) -> None:
        self._moved_bytes += moved_bytes
        if self._moved_bytes >= self._progress_bytes:
            self._silent_s, self._moved_bytes = 0.0, 0
            self._moved()
        self.look()


class ClockedSocket:
    """As much of a socket as `http.client` and urllib3 use. Takes over the socket that it is given."""

    def __init__(self, connected: socket.socket, clocks: Clocks) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._clocks = clocks
        self._users = 1  # a response reads on where the connection object has closed its end

    def fileno(self) -> int:
        return self._socket.fileno()

    def settimeout(self, timeout_s: float | None) -> None:
        """The clocks are kept here, whatever a library thinks of them."""

    def makefile(self, mode: str) -> io.BufferedReader:
        self._users += 1
        return io.BufferedReader(_Reading(self), 64 * 1024)

    def receive_into(self, buffer: WriteableBuffer) -> int:
        while True:
            try:
                count = self._socket.recv_into(buffer)
            except _WANTS_TO_READ:
                self._clocks.wait(self._socket, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._clocks.wait(self._socket, select.POLLOUT)
            else:
                self._clocks.count(count)
                return count

    def sendall(self, data: ReadableBuffer) -> None:
        """Raises BrokenPipeError where the host takes no more: its answer may tell why."""
        left = memoryview(data).cast("B")
        while left:
            try:
                sent = self._socket.send(left)
            except ssl.SSLWantReadError:
                self._clocks.wait(self._socket, select.POLLIN)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._clocks.wait(self._socket, select.POLLOUT)
            except OSError as exc:
                raise BrokenPipeError(*exc.args) from exc
            else:
                self._clocks.count(sent)
                left = left[sent:]

    def close(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._socket.close()


class _Reading(io.RawIOBase):
    """What one response reads."""

    def __init__(self, line: ClockedSocket) -> None:
        super().__init__()
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._line.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._line.close()
        super().close()
