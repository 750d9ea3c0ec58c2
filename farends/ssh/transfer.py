"""A batch of files out of a shell: their bytes as one tar stream, then a second look at each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from farends.contract import Sink
from farends.errors import ProtocolViolation, Vanished
from farends.secure_shell.scripts import END, LOOK, PACK, Script, folder_argument
from farends.ssh.records import (
    Record,
    parse_record,
    parse_tar_complaints,
    record_splitter,
)
from farends.ssh.tar_header import HARD_LINK, REGULAR, Header
from farends.ssh.tar_stream import TarStream
from farends.wire.far_text import show
from farends.wire.wanted import WantedFile

# What an earlier try left of a file is sent again where it has fewer bytes: to prove it, and to leave the
# stream for another one, would cost more.
PREFIX_BYTES_MIN = 8 * 1024 * 1024


class TarBatch:
    """`fetched` are asked for here; the bytes of `earlier` have come, and only the look is due."""

    def __init__(
        self, earlier: Sequence[WantedFile], fetched: Sequence[WantedFile], sink: Sink
    ) -> None:
        self.wanted = [*earlier, *fetched]
        self.members = Members(fetched, sink)
        self.looks: dict[bytes, Record] = {}
        self.is_over = False
        self.stream = TarStream(self.members)
        self._fetched = fetched
        # Once the second look has begun.
        self._splitter = None if fetched else record_splitter()

    def script(self, root: bytes) -> tuple[Script, bytes]:
        """What to run, and what it reads."""
        names = b"".join(b"%b\0" % wanted.path for wanted in self._fetched)
        looked = b"".join(b"./%b\0" % wanted.path for wanted in self.wanted)
        folder = folder_argument(root)
        if not names:
            return Script(LOOK, (folder, b"%d" % len(looked))), looked
        arguments = (folder, b"%d" % len(names), b"%d" % len(looked))
        return Script(PACK, arguments), names + looked

    def feed(self, data: bytes) -> bytes:
        """Returns what is the next script's. Raises ProtocolViolation."""
        if self._splitter is None:
            data = self.stream.feed(data)
            if not data:
                return b""
            self._splitter = record_splitter()
        records = self._splitter.feed(data)
        for number, raw in enumerate(records):
            if raw == END:
                self.is_over = True
                return b"\0".join([*records[number + 1 :], self._splitter.rest])
            record = parse_record(raw)
            self.looks[record.path.removeprefix(b"./")] = record
        return b""


class Members:
    """Matches the members of the tar stream, in order, to the files that were asked for."""

    def __init__(self, wanted: Sequence[WantedFile], sink: Sink) -> None:
        self._sink = sink
        self._expected = deque(wanted)
        self._by_path = {each.path: each for each in wanted}
        self._current: WantedFile | None = None

    @property
    def current(self) -> WantedFile | None:
        return self._current

    @property
    def expected(self) -> list[WantedFile]:
        """The files of which no byte has come."""
        return list(self._expected)

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
            wanted.receive(self._sink, worth_bytes=PREFIX_BYTES_MIN)

    def data(self, piece: memoryview) -> None:
        if self._current is not None:
            self._current.write(piece)

    def end(self) -> None:
        wanted, self._current = self._current, None
        if wanted is not None:
            wanted.finish()

    def complain(self, line: bytes) -> None:
        """A line of tar's: it concerns the file whose name it holds."""
        for complaint in parse_tar_complaints(line):
            wanted = self._by_path.get(complaint.path)
            if wanted is not None:
                wanted.fail(complaint.error())
                return

    def _next(self, name: bytes) -> WantedFile:
        """The wanted file of this name; those before it in line were left out by the host."""
        if self._expected and self._expected[0].path == name:
            return self._expected.popleft()
        if self._by_path.get(name) not in self._expected:
            raise ProtocolViolation(f"the host sent {show(name)}, which was not asked for")
        while (wanted := self._expected.popleft()).path != name:
            pass
        return wanted
