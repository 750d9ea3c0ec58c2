"""Fetches many files as one tar stream: names go in while bytes come out, then a second look at each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from connectors.contract import Fetched, RemoteEntry, Sink
from connectors.errors import (
    ConnectionLost,
    PermissionRefused,
    Truncated,
    Unstable,
    Vanished,
)
from connectors.wire.shell_channel import ShellChannel, ShellSession
from connectors.wire.shell_describe import Describer
from connectors.wire.shell_records import Record
from connectors.wire.shell_scripts import PACK, Script, folder_argument
from connectors.wire.shell_stream import ShellFile
from connectors.wire.shell_transfer import Members
from connectors.wire.shown import shown
from connectors.wire.tar_stream import TarStream
from connectors.wire.wanted import Wanted

# tar holds back up to 32 KiB: this many headers always push something out.
_AHEAD_MIN, _AHEAD_MAX = 96, 1024
_LOOK_MIN, _LOOK_MAX = 64, 2048
_SKIP_BYTES_MAX = 8 * 1024 * 1024  # more of a failed file than this costs more than a new stream

_READ_BYTES = 256 * 1024


class ShellFetch:
    """One call of `fetch`."""

    def __init__(
        self, session: ShellSession, root: bytes, entries: Iterable[RemoteEntry], sink: Sink
    ) -> None:
        self._session = session
        self._root = root
        self._entries = iter(entries)
        self._members = Members(sink)
        self._describer = Describer(session, root)
        self._channel: ShellChannel | None = None
        self._stream = TarStream(self._members)
        self._names_ahead = _AHEAD_MIN
        self._look = _LOOK_MIN  # files for one second look
        self._again: deque[RemoteEntry] = deque()
        self._answering: deque[Wanted] = deque()
        self._last_complaint = b""

    def __iter__(self) -> Iterator[Fetched]:
        try:
            while self._ask():
                came = self._receive()
                if self._members.over and (not came or len(self._members.over) >= self._look):
                    yield from self._answers()
                    self._look = min(self._look * 2, _LOOK_MAX)
                    self._names_ahead = min(self._names_ahead * 2, _AHEAD_MAX)
            yield from self._answers()
        finally:
            self._abandon()

    def _ask(self) -> bool:
        """Keeps names ahead of the bytes. False once there is nothing left to wait for."""
        names = []
        exhausted = False
        while self._members.ahead < self._names_ahead and not exhausted:
            entry = self._again.popleft() if self._again else next(self._entries, None)
            if entry is None:
                exhausted = True
            else:
                names.append(self._members.expect(entry).path)
        if names and self._channel is None:
            self._start()
        if self._channel is None:
            return False
        if names:
            self._channel.send(b"\0".join(names) + b"\0")
        if exhausted:
            self._channel.end_input()
        return True

    def _start(self) -> None:
        self._channel = self._session.run(Script(PACK, (folder_argument(self._root),)))
        self._stream = TarStream(self._members)
        self._channel.enter(self._root)

    def _receive(self) -> bool:
        """Takes what came. False when nothing did for a moment."""
        channel = self._channel
        if channel is None:
            return False
        data = channel.receive_some()
        if data:
            self._stream.feed(data)
        self._listen(channel)
        if data == b"":
            self._end(channel)
        current = self._members.current
        if current is not None and self._useless_bytes(current) > _SKIP_BYTES_MAX:
            channel.close()
            self._channel = None
            self._again.extendleft(reversed(self._members.start_again()))
            if current.error is None:
                self._go_on(current)
        return data is not None

    def _useless_bytes(self, current: Wanted) -> int:
        """What the stream still holds before the next byte that is wanted."""
        return self._stream.left_bytes if current.error else current.here_bytes

    def _go_on(self, wanted: Wanted) -> None:
        """The rest of a file whose first bytes are here, on a channel of its own."""
        if wanted.receiver is None:
            return
        offset, wanted.here_bytes = wanted.receiver.offset, 0
        try:
            with ShellFile(self._session, self._root, wanted.path, offset) as file:
                if file.size_bytes != wanted.size_bytes:
                    wanted.fail(Unstable(f"the file has {file.size_bytes} bytes now"))
                while wanted.error is None and (data := file.read(_READ_BYTES)):
                    wanted.write(data)
        except (Truncated, Unstable, Vanished, PermissionRefused) as exc:
            wanted.fail(exc)
        wanted.finish()

    def _listen(self, channel: ShellChannel) -> None:
        for line in channel.complaints():
            self._last_complaint = line
            self._members.complain(line)

    def _end(self, channel: ShellChannel) -> None:
        if not self._stream.ended:
            told = shown(self._last_complaint)
            raise ConnectionLost(f"the host's tar ended before its end: {told}".rstrip(": "))
        channel.close()
        self._channel = None
        self._members.give_up_expected()

    def _answers(self) -> Iterator[Fetched]:
        self._answering.extend(self._members.take_over())
        if not self._answering:
            return
        records = self._describer.describe(wanted.path for wanted in self._answering)
        if self._channel is not None:
            self._listen(self._channel)
        while self._answering:
            wanted = self._answering.popleft()
            self._members.forget(wanted)
            yield _answer(wanted, records.get(wanted.path))

    def _abandon(self) -> None:
        with ExitStack() as work:  # all of it, even where one raises
            for wanted in (*self._answering, *self._members.unanswered()):
                if wanted.receiver is not None:
                    work.callback(wanted.receiver.abandon)
            work.callback(self._describer.close)
            if self._channel is not None:
                work.callback(self._channel.close)


def _answer(wanted: Wanted, record: Record | None) -> Fetched:
    if record is None:
        return wanted.answer(None)
    if record.kind != b"f":
        return wanted.answer(None, gone="it is no regular file any more")
    observed = RemoteEntry(wanted.entry.path, record.size_bytes, record.modified_ns)
    return wanted.answer(observed)
