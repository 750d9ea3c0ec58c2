"""Fetches many files by one shell, batch after batch: the next ones are asked for while one comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from farends.contract import Fetched, RemoteEntry, Sink
from farends.errors import (
    ConnectionLost,
    PermissionRefused,
    Truncated,
    Unstable,
    Vanished,
)
from farends.secure_shell.commands import ShellChannel, ShellSession
from farends.secure_shell.digests import Digester
from farends.ssh.records import Record
from farends.ssh.stream import ShellFile
from farends.ssh.transfer import TarBatch
from farends.wire.far_text import show
from farends.wire.wanted import WantedFile

_BATCH_MIN, _BATCH_MAX = 64, 1024  # files
_BATCH_BYTES = 64 * 1024 * 1024  # of one batch, unless a single file has more
_AHEAD_MIN, _AHEAD_MAX = 128, 4096  # files asked for and not answered
_SKIP_BYTES_MAX = 8 * 1024 * 1024  # more of a failed file than this costs more than a new stream


class ShellFetch:
    """One call of `fetch`."""

    def __init__(
        self,
        session: ShellSession,
        digester: Digester,
        root: bytes,
        entries: Iterable[RemoteEntry],
        sink: Sink,
    ) -> None:
        self._session = session
        self._digester = digester
        self._root = root
        self._entries = iter(entries)
        self._sink = sink
        self._channel: ShellChannel | None = None
        self._batch_files = _BATCH_MIN
        self._ahead = _AHEAD_MIN
        self._asked: deque[TarBatch] = deque()
        self._again: deque[WantedFile] = deque()  # asked for on a channel that was given up
        self._earlier: list[WantedFile] = []  # came on such a channel, and not looked at again
        self._answering: deque[WantedFile] = deque()

    def __iter__(self) -> Iterator[Fetched]:
        try:
            while self._ask():
                batch = self._asked[0]
                if not self._receive(batch):
                    continue
                self._asked.popleft()
                self._answering.extend(batch.wanted)
                while self._answering:
                    wanted = self._answering.popleft()
                    yield _answer(wanted, batch.looks.get(wanted.path))
                self._ahead = _AHEAD_MAX
        finally:
            self._close()

    def _ask(self) -> bool:
        """Keeps batches ahead of the bytes. False once there is nothing left to wait for."""
        ahead = sum(len(batch.wanted) for batch in self._asked)
        while ahead < self._ahead:
            fetched = self._take()
            if not fetched and not self._earlier:
                break
            batch = TarBatch(self._earlier, fetched, self._sink)
            self._asked.append(batch)
            self._earlier = []
            self._send(batch)
            ahead += len(batch.wanted)
        return bool(self._asked)

    def _take(self) -> list[WantedFile]:
        """The files of the next batch."""
        taken: list[WantedFile] = []
        size_bytes = 0
        while len(taken) < self._batch_files and size_bytes < _BATCH_BYTES:
            if self._again:
                wanted = self._again.popleft()
            elif (entry := next(self._entries, None)) is not None:
                wanted = WantedFile.of(entry)
            else:
                break
            taken.append(wanted)
            size_bytes += wanted.entry.size_bytes or 0
        self._batch_files = min(self._batch_files * 2, _BATCH_MAX)
        return taken

    def _send(self, batch: TarBatch) -> None:
        script, names = batch.script(self._root)
        if self._channel is None:
            self._channel = self._session.run(script)
        else:
            self._channel.begin(script)
        self._channel.send(names)

    def _receive(self, batch: TarBatch) -> bool:
        """Whether the batch came; False where the channel was given up in a file not worth its bytes."""
        channel = self._channel
        if channel is None:
            return False
        channel.enter(self._root)
        while not batch.is_over:
            if (data := channel.receive_some()) == b"":
                told = show(b"; ".join(channel.complaints()[-1:]))
                raise ConnectionLost(f"the host's tar ended before its end: {told}".rstrip(": "))
            channel.unread(batch.feed(data or b""))
            current = batch.members.current
            if current is not None and _is_useless(batch, current):
                self._start_again(batch, current)
                return False
        for line in channel.end():
            batch.members.complain(line)
        return True

    def _start_again(self, batch: TarBatch, current: WantedFile) -> None:
        """Gives up the channel. Bytes that came stay; the other files are asked for again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        expected = batch.members.expected
        self._asked.popleft()
        for other in self._asked:
            expected += other.members.expected
        self._asked.clear()
        self._again.extendleft(reversed(expected))
        left_out = set(map(id, expected))
        self._earlier = [wanted for wanted in batch.wanted if id(wanted) not in left_out]
        if current.error is None:
            self._go_on(current)

    def _go_on(self, wanted: WantedFile) -> None:
        """The rest of a file whose first bytes may be here, on a channel of its own."""
        if wanted.receiver is None:
            return
        offset = self._digester.prove(self._root, wanted.path, wanted.receiver)
        wanted.has_prefix = False
        try:
            with ShellFile(self._session, self._root, wanted.path, offset) as file:
                if file.size_bytes != wanted.size_bytes:
                    wanted.fail(Unstable(f"the file has {file.size_bytes} bytes now"))
                for data in file:
                    if wanted.error is not None:
                        break
                    wanted.write(data)
        except (Truncated, Unstable, Vanished, PermissionRefused) as exc:
            wanted.fail(exc)
        wanted.finish()

    def _close(self) -> None:
        asked = (wanted for batch in self._asked for wanted in batch.wanted)
        with ExitStack() as work:  # all of it, even where one raises
            for wanted in (*self._answering, *self._earlier, *asked):
                if wanted.receiver is not None:
                    work.callback(wanted.receiver.abandon)
            if self._channel is not None:
                work.callback(self._channel.close)


def _is_useless(batch: TarBatch, current: WantedFile) -> bool:
    """Whether the stream goes on with too much that nobody waits for."""
    if current.error is None:
        return current.has_prefix
    return batch.stream.left_bytes > _SKIP_BYTES_MAX


def _answer(wanted: WantedFile, record: Record | None) -> Fetched:
    if record is None:
        return wanted.answer(None)
    if record.kind != b"f":
        return wanted.answer(None, gone="it is no regular file any more")
    observed = RemoteEntry(wanted.entry.path, record.size_bytes, record.modified_ns)
    return wanted.answer(observed)
