"""The rsync program as a child: watched, bounded, and killed with all that it started."""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import farends
from children.confinement import Confinement, start_confined
from children.limits import ProcessLimits, limit_process
from farends.contract import Context
from farends.errors import PermanentError, ProtocolViolation, Stalled
from farends.rsync.relay import RELAY_FILE
from farends.secure_shell.splitting import Splitter

_SLICE_S = 0.5
_PIPE_BYTES = 256 * 1024
_ARRIVING_BYTES = 1024 * 1024
_LINE_BYTES_MAX = 64 * 1024
_COMPLAINTS_BYTES_MAX = 4 * 1024 * 1024
_LOCALE = {"LC_ALL": "C", "TZ": "UTC"}
_LIMITS = ProcessLimits(data_bytes=512 * 1024 * 1024)


class RsyncMissing(PermanentError):
    """The rsync program is not installed on this machine; install the package rsync."""


class RsyncChild:
    """One run. `home` is the only folder that it is told of, and that it reaches beside programs and
    libraries where the kernel can see to that; variables of this process do not reach it.

    `channel` is a named pipe that the child writes to, beside what it prints; it is gone after `close`.
    """

    def __init__(
        self,
        words: Sequence[str | bytes],
        home: Path,
        given: bytes,
        context: Context,
        environment: Mapping[str, str],
        *,
        channel: Path | None = None,
    ) -> None:
        self._context = context
        self._given = memoryview(given)
        self._splitter = Splitter(b"\n", _LINE_BYTES_MAX, "rsync told a name without end")
        self._lines: list[bytes] = []
        self._arrived: list[bytes] = []
        self._errors = bytearray()
        self._channel = channel
        self._channel_fd = None if channel is None else _make_pipe(channel)
        self._checked_at = self._progress_at = self._left_at = time.monotonic()
        self._select = selectors.DefaultSelector()
        path = os.environ.get("PATH", os.defpath)

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(  # noqa: S603 — fixed words, no shell
                list(words),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=home,
                env={"PATH": path, "HOME": str(home), **_LOCALE, **environment},
                start_new_session=True,  # its own group, and no terminal to ask for a password on
            )

        try:
            self._process = start_confined(start, _reach(home, path))
        except (FileNotFoundError, PermissionError):  # also on a path where nothing may be run
            self._select.close()
            self._close_channel()
            raise RsyncMissing from None
        limit_process(_LIMITS, self._process.pid)
        self._watch_pipes()

    def poll(self, wait_s: float = _SLICE_S) -> list[bytes]:
        """Lines of standard output that came, after waiting for a moment at most.

        Raises Stalled, ProtocolViolation, and whatever `check` raises.
        """
        self._progress_at += time.monotonic() - self._left_at  # its silence until now was ours
        try:
            return self._poll(wait_s)
        finally:
            self._left_at = time.monotonic()

    def _poll(self, wait_s: float) -> list[bytes]:
        for key, _ in self._select.select(wait_s):
            if key.data == "in":
                self._write()
            elif key.data == "channel":
                self._receive()
            else:
                self._read(key.fd, is_error=key.data == "error")
        if self._channel_fd is not None and len(self._select.get_map()) == 1:
            self._drain()
        now = time.monotonic()
        if now - self._checked_at >= _SLICE_S:
            self._checked_at = now
            self._context.check()
        idle_s = self._context.patience.idle_s
        if now - self._progress_at > idle_s:
            raise Stalled(f"rsync brought nothing for {idle_s:g} s")
        lines, self._lines = self._lines, []
        return lines

    def take(self) -> list[bytes]:
        """What came through the channel since the last call."""
        arrived, self._arrived = self._arrived, []
        return arrived

    @property
    def running(self) -> bool:
        """Whether output may still come; once False, `exit_code` and `complaints` are whole."""
        return bool(self._select.get_map())

    def progressed(self) -> None:
        """The caller saw bytes arrive that the pipes do not tell of."""
        self._progress_at = time.monotonic()
        self._context.moved()

    def wait(self) -> int:
        """The exit code, once the output has ended. Negative for a signal."""
        while True:
            try:
                return self._process.wait(_SLICE_S)
            except subprocess.TimeoutExpired:
                self.poll(0)

    @property
    def complaints(self) -> list[bytes]:
        return bytes(self._errors).splitlines()

    def close(self) -> None:
        """Kills the whole group where it still runs, and leaves nothing behind. Safe to call twice."""
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
        self._select.close()
        self._close_channel()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # closing flushes what a dead child no longer takes
                    pass

    def _close_channel(self) -> None:
        if self._channel_fd is not None:
            os.close(self._channel_fd)
            self._channel_fd = None
        if self._channel is not None:
            self._channel.unlink(missing_ok=True)

    def _watch_pipes(self) -> None:
        process = self._process
        if self._channel_fd is not None:
            self._select.register(self._channel_fd, selectors.EVENT_READ, "channel")
        for pipe, events, name in (
            (process.stdin, selectors.EVENT_WRITE, "in"),
            (process.stdout, selectors.EVENT_READ, "out"),
            (process.stderr, selectors.EVENT_READ, "error"),
        ):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._select.register(pipe.fileno(), events, name)

    def _write(self) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        try:
            sent = os.write(pipe.fileno(), self._given[:_PIPE_BYTES])
            self._given = self._given[sent:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._given = self._given[:0]
        if not self._given:
            self._select.unregister(pipe.fileno())
            pipe.close()

    def _receive(self) -> bool:
        """Whether there may be more."""
        if self._channel_fd is None:
            return False
        try:
            data = os.read(self._channel_fd, _ARRIVING_BYTES)
        except BlockingIOError:
            return False
        if data:
            self.progressed()
            self._arrived.append(data)
            return True
        self._select.unregister(self._channel_fd)
        os.close(self._channel_fd)
        self._channel_fd = None
        return False

    def _drain(self) -> None:
        """The child's own output has ended: what is in the channel is the rest, also where the child
        never opened it and so cannot end it."""
        while self._receive():
            pass
        if self._channel_fd is not None:
            self._select.unregister(self._channel_fd)
            os.close(self._channel_fd)
            self._channel_fd = None

    def _read(self, descriptor: int, *, is_error: bool) -> None:
        try:
            data = os.read(descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._select.unregister(descriptor)
            return
        self.progressed()
        if is_error:
            self._errors += data
            if len(self._errors) > _COMPLAINTS_BYTES_MAX:
                raise ProtocolViolation("rsync complains without end")
            return
        self._lines.extend(self._splitter.feed(data))


def _reach(home: Path, path: str) -> Confinement:
    """`path` is where programs are looked for. A relay is our own Python; its file is in `home`."""
    reading: list[Path] = []
    for name in ("rsync", "ssh"):
        found = shutil.which(name, path=path)
        if found is not None:
            program = Path(found).resolve()
            reading += [Path(found), program]
            reading += (program.parents[1] / part for part in ("lib", "lib64"))
    if not (home / RELAY_FILE).exists():
        return Confinement((home,), tuple(reading))
    code = Path(farends.__file__).parent
    python = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve())
    return Confinement((home,), (*reading, *python, code), (code.parent,))


def _make_pipe(path: Path) -> int:
    """Opens the end that reads, so that a writer need not wait for it."""
    os.mkfifo(path, 0o600)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _ARRIVING_BYTES)
    except OSError:  # this user has used up what it may have of them: a small pipe does as well
        pass
    return descriptor
