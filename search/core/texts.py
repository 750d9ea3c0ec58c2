"""Text as it comes out of a file, and why some files have none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

_ROW = re.compile(r"(?s)(sheet .* row )([0-9]{1,9})")
CHARACTERS_MAX = 8_000_000  # of a file's text; what stands behind them is left out
CHARACTERS_READ = CHARACTERS_MAX + 1  # with one that tells that there are more


class RefusalCode(StrEnum):
    """Why the text of a file is not in the index. Operators read these words in the troubles of an index."""

    TOO_LARGE = "too_large"
    EXTRACT_FAILED = "extract_failed"
    EXTRACT_CRASHED = "extract_crashed"
    EXTRACT_TIMEOUT = "extract_timeout"
    ENCRYPTED = "encrypted"
    BINARY = "binary"
    UNKNOWN_CHARSET = "unknown_charset"
    HOSTILE = "hostile"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a file's text.

    `line` is the 1-based line of the extracted text in which the piece begins; None where the format has no lines, and
    then `place` says where: `page 3`, `sheet Orders row 12`, `slide 4`, `body`. `level` is that of a heading, 1 to 9; 0:
    the text is none, or the cutter finds its headings itself.
    """

    text: str
    place: str = ""
    line: int | None = None
    level: int = 0


@dataclass(slots=True)
class Extracted:
    """The text of one file. `kind` is what the cutter looks at: a suffix such as `.md`. `pieces` may be read once."""

    kind: str
    pieces: Iterable[Piece]
    is_cut: bool = field(default=False, init=False)

    def read(self) -> Iterator[Piece]:
        """Yields the first CHARACTERS_MAX characters; `is_cut` says afterwards whether there were more."""
        left = CHARACTERS_MAX
        for piece in self.pieces:
            if len(piece.text) > left:
                self.is_cut = True
                if left:
                    yield replace(piece, text=piece.text[:left])
                return
            left -= len(piece.text)
            yield piece


@dataclass(frozen=True, slots=True)
class TextRefusal:
    """One file has no text in the index; `note` says in a sentence what was found."""

    code: RefusalCode
    note: str


@dataclass(frozen=True, slots=True)
class Cut:
    """One chunk of a text: at most 1,000 characters that are found and shown together.

    `n` counts from 0 within its text. `heading` is the way to it, such as `Install > Linux`.
    """

    n: int
    line: int | None
    place: str
    heading: str
    body: str


def split_row(place: str) -> tuple[str, int] | None:
    """What stands before the number of a row, and that number; None: the place is no row of a sheet."""
    found = _ROW.fullmatch(place)
    return (found[1], int(found[2])) if found else None


def move_place(place: str, lines: int) -> str:
    """The place of a line further on in a chunk that begins at `place`: each row of a sheet is one line."""
    row = split_row(place)
    return f"{row[0]}{row[1] + lines}" if row else place
