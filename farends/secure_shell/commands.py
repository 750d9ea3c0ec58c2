"""Scripts on a host with a shell: one SSH session, and shells that run one script after another."""

from __future__ import annotations

import secrets
import time
from collections import deque

import paramiko

from farends.contract import Context
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
)
from farends.secure_shell.chunk_pipe import ChunkPipe
from farends.secure_shell.paramiko_names import acknowledge_at_once
from farends.secure_shell.scripts import Script, serve_command
from farends.secure_shell.session import close_session, in_time, ssh_error
from farends.secure_shell.splitting import Splitter
from farends.wire.far_text import show

_SLICE_S = 0.5
_START_S = 10.0  # more than this a shell takes only on a host that is far too busy
_RECEIVE_BYTES = 1024 * 1024
_SEND_BYTES = 32 * 1024
_ANSWER_BYTES_MAX = 64 * 1024
_NOISE_BYTES_MAX = 256 * 1024
_COMPLAINTS_BYTES_MAX = 4 * 1024 * 1024
_COMPLAINT_BYTES_MAX = 64 * 1024
_PROGRESS_BYTES = 1024  # fewer bytes than this within `idle_s` is a drip


class NoShell(ProtocolViolation):
    """The host ran no command: it has no shell for this user."""

    stage = ConnectionStage.LOG_IN


class ShellSession:
    """Takes ownership of the transport. A shell whose script has ended serves the next one."""

    def __init__(self, transport: paramiko.Transport, context: Context) -> None:
        self.transport = transport
        self._context = context
        self._idle: list[ShellChannel] = []

    def run(self, script: Script, *, stage: ConnectionStage = ConnectionStage.READ) -> ShellChannel:
        """Starts a script. The session is closed when the host does not answer in time."""
        channel = self._find_idle() or self._start(stage)
        channel.begin(script)
        return channel

    def close(self) -> None:
        close_session(self.transport)

    def _find_idle(self) -> ShellChannel | None:
        while self._idle:
            channel = self._idle.pop()
            if channel.is_open:
                return channel
        return None

    def _start(self, stage: ConnectionStage) -> ShellChannel:
        halves = secrets.token_hex(8), secrets.token_hex(8)

        def start() -> paramiko.Channel:
            try:
                channel = self.transport.open_session(timeout=self._context.patience.log_in_s)
                channel.in_buffer = ChunkPipe()  # before a byte of the script can come
                channel.in_stderr_buffer = ChunkPipe()
                channel.exec_command(serve_command(*halves))
            except paramiko.ChannelException as exc:
                raise ssh_error(exc, stage) from exc
            except (paramiko.SSHException, EOFError, OSError) as exc:
                if self.transport.is_active():
                    raise NoShell("the host refuses to run a command") from exc
                raise ssh_error(exc, stage) from exc
            return channel

        channel = in_time(start, self.transport, self._context, stage, "starting a command")
        return ShellChannel(channel, "".join(halves).encode("ascii"), self._context, self._idle)


class ShellChannel:
    """One shell and the scripts that it runs: bytes in, bytes out, and the lines they complain in.

    Several scripts may be begun one after another; what they say comes in the same order.
    """

    def __init__(
        self,
        channel: paramiko.Channel,
        marker: bytes,
        context: Context,
        idle: list[ShellChannel],
    ) -> None:
        self._channel = channel
        self._marker = marker
        self._context = context
        self._idle = idle
        self._secret = secrets.token_hex(16)
        self._running = 0  # scripts that have begun and whose end was not seen
        self._outgoing: deque[bytes] = deque()
        self._ends_input = False
        self._noise: bytearray | None = bytearray()
        self._ready: deque[bytes] = deque()
        self._complaints: bytearray | None = bytearray()  # until the marker was seen among them
        self._complaints_bytes = 0
        self._complaint_splitter = Splitter(
            b"\n", _COMPLAINT_BYTES_MAX, "the host complains in a line without end"
        )
        self._lines: deque[bytes] = deque()
        self._began_at = time.monotonic()
        self._checked_at = self._progress_at = self._left_at = self._began_at
        self._progress_bytes = 0
        self.grace_s = 0.0  # silence that is granted on top, to a host that reads before it answers
        channel.settimeout(_SLICE_S)
        self.send(self._secret.encode("ascii") + b"\n")

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as is known."""
        return not (self._channel.closed or self._channel.eof_received or self._channel.eof_sent)

    def begin(self, script: Script) -> None:
        """Sends a script; with what it reads to follow by `send`."""
        if not self._running:
            self._progress_at = self._left_at = time.monotonic()
        self._running += 1
        acknowledge_at_once(self._channel.get_transport())
        self.send(script.line(self._secret))

    def send(self, data: bytes) -> None:
        """Queues bytes for the script's standard input; they leave while something is received."""
        self._outgoing.append(data)
        self._push()

    def end_input(self) -> None:
        if not self._channel.eof_sent:
            self._ends_input = True
            self._push()

    def answer(self) -> bytes:
        """Returns all that a script says, which ends its words by NUL; or what came before the shell ended."""
        said = b""
        while b"\0" not in said and len(said) < _ANSWER_BYTES_MAX:
            data = self.receive()
            if not data:
                return said
            said += data
        self.end()
        return said.partition(b"\0")[0]

    def end(self) -> list[bytes]:
        """Waits for the end of the script whose answer has been read; what it complained of till then."""
        lines = self.complaints()
        acknowledge_at_once(self._channel.get_transport())
        while not self._lines:
            self._push()
            try:
                data = self._channel.recv_stderr(_RECEIVE_BYTES)
            except TimeoutError:
                data = None
            if data == b"":
                self._check_connection()
                raise ConnectionLost("the host's shell ended before its answer")
            self._take_complaint(data or b"")
            self._watch(0)
            lines += self.complaints()
        self._lines.popleft()
        self._running -= 1
        self._complaints_bytes = 0
        return lines

    def unread(self, data: bytes) -> None:
        """Gives back what belongs to the next script."""
        if data:
            self._ready.appendleft(data)

    def enter(self, root: bytes) -> None:
        """Waits for a script's word that it is in its folder. Raises RootMissing."""
        words = {b"entered", b"missing", b"refused", b"not-a-folder"}
        said = b""
        while said not in words:
            if len(said) >= 16 or not any(word.startswith(said) for word in words):
                raise ProtocolViolation("the host's shell answered another command")
            said += self._receive_byte()
        if said == b"refused":
            raise PermissionRefused(
                f"the host refuses to enter {show(root)}", stage=ConnectionStage.LIST
            )
        if said == b"missing":
            raise RootMissing(f"the folder {show(root)} does not exist on the host")
        if said == b"not-a-folder":
            raise RootMissing(f"{show(root)} is not a folder")

    def receive(self) -> bytes:
        """The next bytes of standard output, b"" at its end.

        Raises Stalled, ConnectionLost, and whatever `check` raises.
        """
        while (data := self.receive_some()) is None:
            pass
        return data

    def receive_some(self) -> bytes | None:
        """Like `receive`, but None when nothing came within a fraction of a second."""
        if self._ready:
            return self._ready.popleft()
        self._progress_at += time.monotonic() - self._left_at  # its silence until now was ours
        try:
            return self._receive_some()
        finally:
            self._left_at = time.monotonic()

    def _receive_some(self) -> bytes | None:
        self._push()
        try:
            data = self._channel.recv(_RECEIVE_BYTES)
        except TimeoutError:
            data = None
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise ssh_error(exc, ConnectionStage.READ) from exc
        self._take_complaints()
        self._watch(len(data) if data else 0)
        if data is None:
            self._hurry()
            return None
        if self._noise is not None:
            return self._without_noise(data)
        if not data:
            self._check_connection()
        return data

    def complaints(self) -> list[bytes]:
        """Whole lines of standard error that came since the last call, up to the script's end."""
        self._take_complaints()
        lines = []
        while self._lines and self._lines[0] != self._marker:
            lines.append(self._lines.popleft())
        return lines

    def close(self) -> None:
        """Ends what runs. A shell that runs nothing serves the next script."""
        if self._running or self._ready or not self.is_open:
            self._channel.close()
        elif self not in self._idle:
            self._idle.append(self)

    def _receive_byte(self) -> bytes:
        data = self.receive()
        if not data:
            raise ConnectionLost("the host's shell ended before its answer")
        self.unread(data[1:])
        return data[:1]

    def _push(self) -> None:
        try:
            while self._outgoing and self._channel.send_ready():
                data = self._outgoing.popleft()
                sent = self._channel.send(data[:_SEND_BYTES])
                if sent < len(data):
                    self._outgoing.appendleft(data[sent:])
            if self._ends_input and not self._outgoing:
                self._ends_input = False
                self._channel.shutdown_write()
        except TimeoutError:
            return
        except (paramiko.SSHException, EOFError, OSError) as exc:
            if self._channel.closed and self._channel.get_transport().is_active():
                self._outgoing.clear()  # the script is over; what it said is still to be read
                return
            raise ssh_error(exc, ConnectionStage.READ) from exc

    def _without_noise(self, data: bytes) -> bytes | None:
        noise = self._noise if self._noise is not None else bytearray()
        looked_bytes = len(noise)
        rest = _behind(noise, data, self._marker)
        if rest is not None:
            self._noise = None
            return rest or None
        if not data:
            self._check_connection()
            raise NoShell(f"the host ran no command; it said: {show(bytes(noise))}")
        if noise.find(self._secret.encode("ascii"), max(0, looked_bytes - len(self._secret))) >= 0:
            raise NoShell("the host repeats what it is told")
        if len(noise) > _NOISE_BYTES_MAX:
            raise NoShell("the host's shell prints without end before it runs a command")
        return None

    def _hurry(self) -> None:
        """What is no shell but waits for input is told that there is no more; a slow shell has it all."""
        if self._noise is not None and time.monotonic() - self._began_at > _START_S:
            self.end_input()

    def _check_connection(self) -> None:
        if not self._channel.get_transport().is_active():
            raise ConnectionLost("the SSH connection ended")

    def _take_complaints(self) -> None:
        while self._channel.recv_stderr_ready():
            self._take_complaint(self._channel.recv_stderr(_RECEIVE_BYTES))

    def _take_complaint(self, data: bytes) -> None:
        self._complaints_bytes += len(data)
        self._progress_bytes += len(data)
        if self._complaints_bytes > _COMPLAINTS_BYTES_MAX:
            raise ProtocolViolation("the host complains without end")
        if self._complaints is not None:
            rest = _behind(self._complaints, data, self._marker)
            if rest is None:
                return
            data, self._complaints = rest, None
        self._lines += [line for line in self._complaint_splitter.feed(data) if line]

    def _watch(self, came_bytes: int) -> None:
        now = time.monotonic()
        if now - self._checked_at >= _SLICE_S:
            self._checked_at = now
            self._context.check()
            if self.grace_s:
                self._context.moved()
        self._progress_bytes += came_bytes
        if self._progress_bytes >= _PROGRESS_BYTES:
            self._progress_at, self._progress_bytes = now, 0
            self._context.moved()
        idle_s = self._context.patience.idle_s + self.grace_s
        if now - self._progress_at > idle_s:
            raise Stalled(f"the host's shell sent nothing for {idle_s:g} s")


def _behind(seen: bytearray, data: bytes, marker: bytes) -> bytes | None:
    """Takes data in; what follows the marker, once it is there. No byte is looked at twice."""
    begun_at = max(0, len(seen) - len(marker))
    seen += data
    at = seen.find(marker, begun_at)
    return bytes(seen[at + len(marker) :]) if at >= 0 else None
