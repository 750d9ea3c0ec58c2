"""Takes a stream of server-sent events apart as it arrives: the data of each event, piece by piece.

WHATWG HTML, "Server-sent events". Only the data count here: what an event is called, its id and `retry` say nothing of
an answer. The data of one event may be larger than memory holds, so nobody waits for its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAME_MAX = 64  # a longer name is none that counts
_NAME_END = re.compile(rb"[:\r\n]")
_LINE_END = re.compile(rb"[\r\n]")
_BOM = b"\xef\xbb\xbf"


class EventStream:
    """Iterate it once. An event's data are read before the next event is asked for; what is left unread of them is
    passed over."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        self._ended = False
        self._skips_newline = False  # of a line's end that was cut between its two characters

    def __iter__(self) -> Iterator[Iterator[bytes]]:
        self._pass_mark()
        while (name := self._find_field()) is not None:
            if name == b"data":
                data = self._read_data()
                yield data
                for _ in data:
                    pass

    def _read_data(self) -> Iterator[bytes]:
        """Lines of data belong together until an empty line; between two of them stands a newline."""
        yield from self._read_line()
        while (name := self._find_field(ends_at_blank=True)) is not None:
            if name == b"data":
                yield b"\n"
                yield from self._read_line()

    def _find_field(self, *, ends_at_blank: bool = False) -> bytes | None:
        """The name of the next field, with its value to be read next if it is `data`; any other line is passed over.
        None at the end of the stream, or at an empty line."""
        while True:
            name = self._read_name()
            if name is None:
                return None
            if name == b"data":
                return name
            if name == b"" and ends_at_blank:
                return None

    def _read_name(self) -> bytes | None:
        """A line's name; its value is left only of `data`. An empty line is an empty name, a comment another one."""
        name = b""
        while self._fill():
            found = _NAME_END.search(self._left)
            end = found.start() if found else len(self._left)
            name = (name + self._left[:end])[: _NAME_MAX + 1]
            self._left = self._left[end:]
            if found is None:
                continue
            if found[0] == b":":
                self._left = self._left[1:]
                if name == b"data":
                    return name
                for _ in self._read_line():
                    pass
                return name or b":"
            self._end_line()
            return b":" if name == b"data" else name  # data without a value tell nothing
        return name or None

    def _read_line(self) -> Iterator[bytes]:
        """What is left of the line, without one blank at its beginning."""
        if self._fill() and self._left[:1] == b" ":
            self._left = self._left[1:]
        while self._fill():
            found = _LINE_END.search(self._left)
            end = found.start() if found else len(self._left)
            piece, self._left = self._left[:end], self._left[end:]
            if piece:
                yield piece
            if found is not None:
                self._end_line()
                return

    def _end_line(self) -> None:
        self._skips_newline = self._left[:1] == b"\r"
        self._left = self._left[1:]

    def _pass_mark(self) -> None:
        beginning = b""
        while len(beginning) < len(_BOM) and _BOM.startswith(beginning) and self._fill():
            beginning, self._left = beginning + self._left, b""
        self._left = beginning.removeprefix(_BOM)

    def _fill(self) -> bool:
        """Whether there is more; then some of it is in `_left`."""
        while True:
            if self._skips_newline and self._left:
                self._left = self._left.removeprefix(b"\n")
                self._skips_newline = False
            if self._left:
                return True
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._left = piece
