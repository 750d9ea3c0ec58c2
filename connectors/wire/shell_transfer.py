"""The members of one tar stream, matched in order to the files that were asked for."""

from __future__ import annotations

from collections import deque

from connectors.contract import RemoteEntry, Sink
from connectors.errors import (
    ProtocolViolation,
    Vanished,
)
from connectors.wire.shell_records import parse_tar_complaints
from connectors.wire.shown import shown
from connectors.wire.tar_header import HARD_LINK, REGULAR, Header
from connectors.wire.wanted import Wanted


class Members:
    """Told by a TarStream. `over` holds the files whose second look is due."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._expected: deque[Wanted] = deque()
        self._by_path: dict[bytes, Wanted] = {}  # asked for and not yet answered
        self._current: Wanted | None = None
        self.over: list[Wanted] = []

    @property
    def ahead(self) -> int:
        """Names sent whose bytes have not come."""
        return len(self._expected)

    @property
    def current(self) -> Wanted | None:
        return self._current

    def expect(self, entry: RemoteEntry) -> Wanted:
        wanted = Wanted.of(entry)
        self._expected.append(wanted)
        self._by_path[wanted.path] = wanted
        return wanted

    def begin(self, header: Header) -> None:
        name = header.name.removesuffix(b"/") if header.kind == b"5" else header.name
        wanted = self._next(name)
        self._current = wanted
        if header.kind not in REGULAR:
            if header.size_bytes:
                raise ProtocolViolation("a link or device with content in the tar stream")
            wanted.fail(
                ProtocolViolation("the host sent a hard link for a file")
                if header.kind == HARD_LINK
                else Vanished("it is no regular file any more")
            )
            return
        if wanted.has_size(header.size_bytes):
            wanted.receive(self._sink)

    def data(self, piece: memoryview) -> None:
        if self._current is not None:
            self._current.write(piece)

    def end(self) -> None:
        wanted, self._current = self._current, None
        if wanted is not None:
            wanted.finish()
            self.over.append(wanted)

    def complain(self, line: bytes) -> None:
        """A line of tar's: it concerns the file whose name it holds."""
        for complaint in parse_tar_complaints(line):
            wanted = self._by_path.get(complaint.path)
            if wanted is None:
                continue
            wanted.fail(complaint.error())
            if complaint.text.startswith(("Cannot stat", "Cannot open")) and (
                wanted in self._expected
            ):
                self._expected.remove(wanted)
                self.over.append(wanted)
            return

    def start_again(self) -> list[RemoteEntry]:
        """The stream is given up in its current file. Returns what is to be asked for anew."""
        if self._current is not None:
            self.over.append(self._current)
            self._current = None
        again = list(self._expected)
        self._expected.clear()
        for wanted in again:
            self.forget(wanted)
        return [wanted.entry for wanted in again]

    def give_up_expected(self) -> None:
        """The stream ended: what did not come is to be explained by the second look."""
        self.over.extend(self._expected)
        self._expected.clear()

    def take_over(self) -> list[Wanted]:
        taken, self.over = self.over, []
        return taken

    def forget(self, wanted: Wanted) -> None:
        if self._by_path.get(wanted.path) is wanted:
            del self._by_path[wanted.path]

    def unanswered(self) -> list[Wanted]:
        return [*self.over, *([self._current] if self._current is not None else [])]

    def _next(self, name: bytes) -> Wanted:
        """The wanted file of this name; those before it in line were left out by the host."""
        if self._expected and self._expected[0].path == name:
            return self._expected.popleft()
        if self._by_path.get(name) not in self._expected:
            raise ProtocolViolation(f"the host sent {shown(name)}, which was not asked for")
        while (wanted := self._expected.popleft()).path != name:
            self.over.append(wanted)
        return wanted
