"""One row of CSV, cell by cell: for rows that `RowShape` does not accept as they are.

A quote in the middle of a cell is a sign like any other. In a cell that begins with a quote, a quote is written
twice, and behind the closing one the cell must end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from farends.tabular.row_shape import Dialect

OPEN_QUOTE = "A quote is opened and not closed."
TEXT_BEHIND_QUOTE = "There is text behind a closing quote."
_NEEDS_QUOTES = re.compile(r'[,"\r\n]|^\\\.$')


@dataclass(frozen=True, slots=True)
class CsvCell:
    raw: bytes
    quoted: bool


@dataclass(frozen=True, slots=True)
class CellRow:
    """`end` is behind the line end. Where there is a `problem` it is behind the first line: what follows that line
    may be whole rows."""

    end: int
    cells: tuple[CsvCell, ...]
    problem: str = ""


class RowCut(Enum):
    """The row is not whole: the data ends in an open quote, or somewhere else."""

    IN_QUOTES = "in quotes"
    BETWEEN = "between"


class CellReader:
    def __init__(self, dialect: Dialect) -> None:
        self._delimiter = dialect.delimiter.encode()
        self._quote = dialect.quote.encode()
        self._plain = re.compile(rb"[^%b\n]*+" % re.escape(self._delimiter))
        sign = re.escape(self._quote)
        self._quoted = re.compile(
            rb"%b([^%b]*+(?:%b%b[^%b]*+)*+)%b" % (sign, sign, sign, sign, sign, sign)
        )

    def read(self, data: bytes, start: int, *, is_last: bool) -> CellRow | RowCut:
        """The row that begins at `start`; RowCut where its end is not in `data`, which is not the last of the file."""
        cells: list[CsvCell] = []
        at = start
        while True:
            quoted = bool(self._quote) and data.startswith(self._quote, at)
            found = (self._quoted if quoted else self._plain).match(data, at)
            if found is None:
                return _fail(data, start, cells, OPEN_QUOTE) if is_last else RowCut.IN_QUOTES
            raw, at = (found[1] if quoted else found[0]), found.end()
            if data.startswith(self._delimiter, at):
                cells.append(self._make_cell(raw, quoted=quoted))
                at += 1
                continue
            end = _find_row_end(data, at, quoted=quoted)
            if end is None:
                return _fail(data, start, cells, TEXT_BEHIND_QUOTE)
            if end == len(data) and data[-1:] != b"\n" and not is_last:
                return RowCut.BETWEEN
            if not quoted and raw.endswith(b"\r"):
                raw = raw[:-1]
            return CellRow(end, (*cells, self._make_cell(raw, quoted=quoted)))

    def read_all(self, row: bytes) -> CellRow:
        """A row that is known to be there whole."""
        found = self.read(row, 0, is_last=True)
        if isinstance(found, RowCut):  # `is_last` says that it never is
            raise TypeError(found)
        return found

    def _make_cell(self, raw: bytes, *, quoted: bool) -> CsvCell:
        return CsvCell(raw.replace(self._quote * 2, self._quote) if quoted else raw, quoted)


def _find_row_end(data: bytes, at: int, *, quoted: bool) -> int | None:
    """Where the row ends whose last cell ended at `at`; the end of `data` where it may go on. None: there is text."""
    if at == len(data) or (quoted and data[at:] == b"\r"):
        return len(data)
    if data.startswith(b"\n", at):
        return at + 1
    return at + 2 if quoted and data.startswith(b"\r\n", at) else None


def _fail(data: bytes, start: int, cells: list[CsvCell], problem: str) -> CellRow:
    found = data.find(b"\n", start)
    return CellRow(len(data) if found < 0 else found + 1, tuple(cells), problem)


@lru_cache(16)
def make_cell_reader(dialect: Dialect) -> CellReader:
    return CellReader(dialect)


def write_csv_row(cells: Iterable[str | None]) -> bytes:
    """A row as COPY reads it from CSV: None is nothing, and the empty text is two quotes."""
    return (",".join([_write_cell(cell) for cell in cells]) + "\n").encode()


def _write_cell(cell: str | None) -> str:
    if cell is None:
        return ""
    if cell and not _NEEDS_QUOTES.search(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'
