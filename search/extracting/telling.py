"""What a parser in the child tells: text with its place, and why it goes no further."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from search.core.texts import CHARACTERS_READ, Piece, RefusalCode

_PIECE_CHARACTERS = 16_384
_FRAME_CHARACTERS = 65_536
_HEADING_MAX = 1_000


class DocumentRefused(Exception):
    """This document is not read."""

    def __init__(self, code: RefusalCode, note: str) -> None:
        super().__init__(note)
        self.code = code
        self.note = note


class TextFull(Exception):
    """The document has more text than is looked at: the rest is left out."""


class Teller:
    """Collects text and sends it on in pieces and frames of bounded size. `has_lines`: the text has lines of its own."""

    def __init__(self, send: Callable[[list[Piece]], None]) -> None:
        self.has_lines = False
        self._send = send
        self._pieces: list[Piece] = []
        self._size = 0
        self._left = CHARACTERS_READ
        self._line = 1
        self._text: list[str] = []
        self._text_size = 0
        self._place = ""

    def add(self, text: str, place: str) -> None:
        """Text that follows on what was told before. Raises TextFull."""
        if place != self._place or self._text_size >= _PIECE_CHARACTERS:
            self._end_text()
            self._place = place
        text = text[: self._left]
        self._text.append(text)
        self._text_size += len(text)
        self._left -= len(text)
        if self._left <= 0:
            raise TextFull

    def add_heading(self, text: str, place: str, level: int) -> None:
        """A heading on a line of its own. Empty: what was told as a heading before is none of what follows."""
        self._end_text()
        text = text[:_HEADING_MAX]
        self._put(f"{text}\n" if text else "", place, level)

    def end(self) -> None:
        """Sends what is left."""
        self._end_text()
        self._flush()

    def _end_text(self) -> None:
        text = "".join(self._text)
        self._text, self._text_size = [], 0
        for at in range(0, len(text), _PIECE_CHARACTERS):
            self._put(text[at : at + _PIECE_CHARACTERS], self._place, 0)

    def _put(self, text: str, place: str, level: int) -> None:
        self._pieces.append(Piece(text, place, self._line if self.has_lines else None, level))
        self._line += text.count("\n")
        self._size += len(text) + len(place) + 8
        if self._size >= _FRAME_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._pieces:
            self._send(self._pieces)
        self._pieces, self._size = [], 0


class Document:
    """One document in the spool. A parser reads the file as often as it likes, and opens nothing else."""

    def __init__(self, kind: str, file: BinaryIO, size_bytes: int) -> None:
        self.kind = kind
        self.file = file
        self.size_bytes = size_bytes
