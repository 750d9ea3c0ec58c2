"""Cuts a text into chunks whose borders the content decides, so that an edit moves only the borders next to it.

A text is a row of blocks: paragraphs, definitions, lines of a table. Blocks are packed into chunks. A chunk ends early,
once it is long enough, where a heading or a definition begins, or where the block's own digest says so. So behind an
insertion the borders fall in step again within a few blocks, and every later chunk keeps its digest and its vector.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from zlib import crc32

from search.core.outlines import Outline, choose_outline
from search.core.texts import Cut, Extracted, Piece, split_row

LEAST, MOST = 300, 900  # characters of a chunk; one before a heading or at an end may be shorter
UTMOST = 1_000
_WINDOW = 65_536  # characters that are split together
_HEADING_MAX = 200
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE_STOPS = "\u3002\uff01\uff1f\uff1b"  # of Chinese and Japanese: no blank follows them
_COMMAS = ",;}>)\u3001\uff0c"
# How an overlong block is broken: into lines, else sentences, words, what stands between marks, else anywhere. One in
# so many parts ends a chunk that is long enough.
_FINER = (
    (re.compile(r"[^\n]*\n|[^\n]+"), 4),
    (re.compile(rf"(?s).+?(?:[.!?;]\s+|[{_WIDE_STOPS}]|\Z)"), 4),
    (re.compile(r"\S+\s*|\s+"), 32),
    (re.compile(rf"[^{_COMMAS}]*[{_COMMAS}]+|[^{_COMMAS}]+"), 8),
    (re.compile(r"(?s).{1,150}"), 4),
)
_BLANK_LINES = re.compile(r"(?:[ \t]*\n)*")


def cut(extracted: Extracted, name: str) -> Iterator[Cut]:
    """Reads the pieces one after the other, and holds a window of them. Control characters other than tab and line feed
    are left out. A chunk stands within one place, such as a page; rows of a sheet that follow on each other stand
    together, each on a line of its own."""
    packer = _Packer(choose_outline(extracted.kind, name))
    for piece in extracted.read():
        packer.add(piece)
        yield from packer.take()
    packer.end()
    yield from packer.take()


class _Packer:
    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._ready: list[Cut] = []
        self._number = 0
        self._path: dict[int, str] = {}
        self._waiting = ""  # is not split yet
        self._line: int | None = None  # where the next block begins
        self._place: str | None = None
        self._next_place: str | None = None  # where a row must stand to follow on the one before it
        # The chunk that is being packed, and how much of it is headings.
        self._parts: list[str] = []
        self._size = 0
        self._bare = 0
        self._begin: tuple[int | None, str, str] = (None, "", "")

    def take(self) -> list[Cut]:
        ready, self._ready = self._ready, []
        return ready

    def end(self) -> None:
        self._split_waiting(is_last=True)
        self._emit()

    def add(self, piece: Piece) -> None:
        text = _CONTROL.sub("", piece.text) if _CONTROL.search(piece.text) else piece.text
        if row := split_row(piece.place):
            self._add_row(piece.place, *row, text)
            return
        if piece.place != self._place:
            self.end()
            self._place = piece.place
        if self._line is None:
            self._line = piece.line
        if not piece.level:
            self._waiting += text
            self._split_waiting(is_last=False)
            return
        self._split_waiting(is_last=True)
        self._enter(piece.level, " ".join(text.split()), len(text))
        if text:
            self._add(text, 0)

    def _add_row(self, place: str, sheet: str, row: int, text: str) -> None:
        if place != self._next_place:
            self.end()
            self._path = {1: sheet.removeprefix("sheet ").removesuffix(" row ")}
        self._place = place
        self._next_place = f"{sheet}{row + 1}"
        self._add(text, 0)

    def _split_waiting(self, *, is_last: bool) -> None:
        waiting, at = self._waiting, 0
        while at < len(waiting) and (is_last or len(waiting) - at >= _WINDOW):
            end = _find_border(waiting, at)
            self._split(waiting[at:end])
            at = end
        self._waiting = waiting[at:]

    def _split(self, window: str) -> None:
        begin = 0
        for at, level, title, length in self._outline.split(window):
            if at > begin:
                self._add(window[begin:at], 0)
                begin = at
            if level:
                self._enter(level, title, length)
        if begin < len(window):
            self._add(window[begin:], 0)

    def _enter(self, level: int, title: str, length: int) -> None:
        has_content = self._size - self._bare >= self._outline.heads_from
        if has_content:
            self._emit()
        self._path = {above: its for above, its in self._path.items() if above < level}
        if title:
            self._path[level] = title
        self._bare += length + 2
        line, place, heading = self._begin
        if self._parts and (length or not heading):
            self._begin = (line, place, self._heading)

    @property
    def _heading(self) -> str:
        return " > ".join(self._path.values())[:_HEADING_MAX]

    def _add(self, block: str, fineness: int) -> None:
        length = len(block)
        if self._size + length > MOST and self._size >= LEAST:
            self._emit()
        if self._size + length > (UTMOST if self._size else MOST):
            parts, _ = _FINER[fineness]
            for part in parts.findall(block):
                self._add(part, fineness + 1)
            return
        if not self._parts:
            if block.isspace():
                self._count_lines(block)
                return
            self._begin = (self._line, self._place or "", self._heading)
        self._parts.append(block)
        self._size += length
        self._count_lines(block)
        if self._size >= LEAST:
            one_in = _FINER[fineness - 1][1] if fineness else 4
            if crc32(block.strip().encode(errors="replace")) % one_in == 0:
                self._emit()

    def _count_lines(self, block: str) -> None:
        if self._line is not None:
            self._line += block.count("\n")

    def _emit(self) -> None:
        if not self._parts:
            self._bare = 0
            return
        raw = "".join(self._parts)
        self._parts, self._size, self._bare = [], 0, 0
        blank = _BLANK_LINES.match(raw)
        begin = blank.end() if blank else 0
        body = raw[begin:].rstrip()
        if body:
            line, place, heading = self._begin
            if line is not None:
                line += raw.count("\n", 0, begin)
            self._ready.append(Cut(self._number, line, place, heading, body))
            self._number += 1


def _find_border(text: str, begin: int) -> int:
    """Where a window ends: behind blank lines, else behind a line, else anywhere."""
    end = begin + _WINDOW
    if end >= len(text):
        return len(text)
    if (at := text.rfind("\n\n", begin, end)) > begin:
        return at + 2
    return text.rfind("\n", begin, end) + 1 or end
