"""Takes a CSV apart into rows: large pieces whose rows are all well-formed at once, the others one by one.

Memory stays flat whatever the file holds: a row larger than ROW_BYTES_MAX, or a quote that is never closed, is found
by looking ahead without keeping what is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from farends.rows.contract import ROW_BYTES_MAX
from farends.tabular.cells import OPEN_QUOTE, CellRow, CsvCell, RowCut, make_cell_reader
from farends.tabular.row_shape import Dialect, LearningShape, RowShape

_BLOCK_BYTES = 1 << 20
_PIECE_BYTES = 256 << 10  # so much is judged at once,
_SMALL_BYTES = (
    4 << 10
)  # and so much where something in it was refused, before it is read row by row
_RAW_BYTES = (64 << 10) + 1  # of a broken row: one more than is kept of it, so that a cut is seen
_RANGES_MAX = 10_000  # kept of one file
_LINES_TRIED = 20  # behind a quote that closed in a later line


@dataclass(frozen=True, slots=True)
class WholeLines:
    """Rows that the shape accepts, each one line, with `\\n` as line ends."""

    data: bytes
    line: int
    count: int


@dataclass(frozen=True, slots=True)
class WholeRow:
    """A row that the shape accepts; it has line ends in quotes."""

    data: bytes
    line: int


@dataclass(frozen=True, slots=True)
class RowOfCells:
    """A row with the right number of cells, of any text. `data` is the row as it stands in the file."""

    data: bytes
    line: int
    cells: tuple[tuple[str, bool], ...]  # text, and whether it was quoted


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """`column`: the index of the cell that is at fault. `cells` are those that could be read; None: not this one."""

    data: bytes
    line: int
    code: str
    message: str
    column: int | None = None
    cells: tuple[tuple[str, bool] | None, ...] = ()


class ProvedRanges:
    """Parts of a file whose rows were all looked at already, in the order of the file."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._index = 0

    def add(self, start: int, stop: int) -> None:
        if self._ranges and self._ranges[-1][1] == start:
            self._ranges[-1] = (self._ranges[-1][0], stop)
        elif len(self._ranges) < _RANGES_MAX:
            self._ranges.append((start, stop))

    def cover(self, start: int, stop: int) -> bool:
        """Whether all of this is proved. What is asked for must not lie before what was asked for earlier."""
        while self._index < len(self._ranges) and self._ranges[self._index][1] < stop:
            self._index += 1
        return self._index < len(self._ranges) and self._ranges[self._index][0] <= start

    def again(self) -> ProvedRanges:
        """The same, to be asked from the file's beginning."""
        made = ProvedRanges()
        made._ranges = self._ranges
        return made


Scanned = WholeLines | WholeRow | RowOfCells | BrokenRow


class RowScanner:
    """Iterates over the rows from `offset`, which is where a row begins; `line` is its number.

    `shape` may be set at any time; while it is None each row is taken apart. `proved` are ranges of the file that are known to
    fit it. `offset` and `line` are behind what was given last.
    """

    def __init__(
        self,
        file: BinaryIO,
        dialect: Dialect,
        column_count: int,
        *,
        offset: int = 0,
        line: int = 1,
        check: Callable[[], None],
    ) -> None:
        self.shape: RowShape | LearningShape | None = None
        self.proved = ProvedRanges()
        self.line = line
        self._file = file
        self._file.seek(offset)
        self._reader = make_cell_reader(dialect)
        self._quote = dialect.quote.encode()
        self._column_count = column_count
        self._check = check
        self._data = b""
        self._at = 0
        self._base = offset  # of `_data` in the file
        self._is_last = False

    @property
    def offset(self) -> int:
        return self._base + self._at

    def __iter__(self) -> Iterator[Scanned]:
        size_bytes = _PIECE_BYTES
        while self._has_more():
            self._check()
            end = self._find_piece_end(size_bytes)
            if end is None:
                yield self._skip_large_line()
                continue
            piece = self._data[self._at : end]
            lines = _end_lines(piece)
            if self._fits(lines, end):
                size_bytes = min(size_bytes * 4, _PIECE_BYTES)
                line = self._advance(piece)
                yield WholeLines(lines, line, self.line - line)
            elif size_bytes > _SMALL_BYTES:
                size_bytes //= 16
            else:
                yield from self._scan_rows(self._base + end)

    def _fits(self, lines: bytes, end: int) -> bool:
        if self.shape is None:
            return False
        return self.proved.cover(self.offset, self._base + end) or self.shape.holds(lines)

    def _has_more(self) -> bool:
        if len(self._data) - self._at < _PIECE_BYTES and not self._is_last:
            self._fill(_PIECE_BYTES)
        return self._at < len(self._data)

    def _fill(self, least_bytes: int) -> None:
        """Reads on until so many bytes from the next row on are there, or the file ends."""
        parts = [self._data[self._at :]]
        missing = least_bytes - len(parts[0])
        self._base += self._at
        self._data, self._at = b"", 0
        while missing > 0 and not self._is_last:
            parts.append(self._file.read(max(_BLOCK_BYTES, missing)))
            missing -= len(parts[-1])
            self._is_last = not parts[-1]
        self._data = b"".join(parts)

    def _find_piece_end(self, size_bytes: int) -> int | None:
        """Behind the last line end within so many bytes, or behind the next line where there is none. None: the line
        is too large."""
        end = self._data.rfind(b"\n", self._at, self._at + size_bytes) + 1
        if end == 0:
            end = self._data.find(b"\n", self._at) + 1
        if end == 0 and not self._is_last:
            found = self._look_ahead(b"\n", ROW_BYTES_MAX)
            if found is None:
                return None
            self._fill(found)
            end = self._data.find(b"\n", self._at) + 1
        if end == 0:
            return len(self._data) if len(self._data) - self._at <= ROW_BYTES_MAX else None
        return end if end - self._at <= max(ROW_BYTES_MAX, size_bytes) else None

    def _look_ahead(self, sign: bytes, limit_bytes: int) -> int | None:
        """How many bytes from the next row on reach behind the sign, or to the file's end; None: more than that."""
        have = len(self._data) - self._at
        back = self._file.tell()
        try:
            while have <= limit_bytes:
                self._check()
                block = self._file.read(_BLOCK_BYTES)
                found = block.find(sign)
                if found >= 0 or not block:
                    have += found + 1
                    return have if have <= limit_bytes else None
                have += len(block)
            return None
        finally:
            self._file.seek(back)

    def _skip_large_line(self) -> BrokenRow:
        """Drops all up to the next line end, wherever it is."""
        raw, line = self._data[self._at : self._at + _RAW_BYTES], self.line
        while (end := self._data.find(b"\n", self._at)) < 0:
            self._check()
            self._at = len(self._data)
            if self._is_last:
                break
            self._fill(1)
        else:
            self._at = end + 1
        self.line += 1
        return BrokenRow(raw, line, "too_large", f"The row is larger than {ROW_BYTES_MAX:,} bytes.")

    def _advance(self, data: bytes) -> int:
        """Goes behind these bytes; returns the line that they began with."""
        line = self.line
        self.line += data.count(b"\n") or 1  # the last line may have no end
        self._at += len(data)
        return line

    # --- row by row

    def _scan_rows(self, until: int) -> Iterator[Scanned]:
        """The rows that begin before this offset."""
        while self.offset < until and self._at < len(self._data):
            end = None if self.shape is None else self.shape.find_end(self._data, self._at)
            if end is not None and end - self._at <= ROW_BYTES_MAX:
                data = self._data[self._at : end]
                line = self._advance(data)
                yield WholeRow(data[:-2] + b"\n" if data.endswith(b"\r\n") else data, line)
            elif (scanned := self._read_row()) is not None:
                yield scanned

    def _read_row(self) -> Scanned | None:
        """None for an empty line."""
        row = self._find_row()
        if row is None:
            return self._skip_large_line()
        data = self._data[self._at : row.end]
        if not row.problem and len(row.cells) != self._column_count:
            if row.cells == (CsvCell(b"", quoted=False),):
                self._advance(data)
                return None
            if self._closed_too_late(data):
                row = CellRow(self._data.find(b"\n", self._at) + 1, row.cells[:1], OPEN_QUOTE)
                data = self._data[self._at : row.end]
        line = self._advance(data)
        return self._judge(row, data, line)

    def _find_row(self) -> CellRow | None:
        """The next row, however far it reaches; None: it is too large, or its first line is."""
        while True:
            row = self._reader.read(self._data, self._at, is_last=self._is_last)
            if isinstance(row, CellRow):
                return row if row.end - self._at <= ROW_BYTES_MAX else None
            have = len(self._data) - self._at
            if have >= ROW_BYTES_MAX:
                return None
            if row is RowCut.IN_QUOTES:
                reach = self._look_for_quote_end()
                if reach is None:
                    return self._read_first_line()
            else:
                reach = self._look_ahead(b"\n", ROW_BYTES_MAX)
                if reach is None:
                    return None
            # At least twice as much, so that what is read again stays little.
            self._fill(max(reach, have + 1, min(2 * have, ROW_BYTES_MAX)))

    def _read_first_line(self) -> CellRow:
        """The row whose quote is never closed ends with its first line, which is there: its end has been seen."""
        end = self._data.find(b"\n", self._at) + 1 or len(self._data)
        row = self._reader.read_all(self._data[self._at : end])
        return replace(row, end=end)

    def _look_for_quote_end(self) -> int | None:
        """How many bytes from the next row on reach behind the closing quote of the cell that is open at the end of
        `_data`. None: there is none, or it is too far."""
        have, back = len(self._data) - self._at, self._file.tell()
        body = re.compile(rb"[^%b]*+(?:%b%b[^%b]*+)*+" % ((re.escape(self._quote),) * 4))
        rest = b""  # a quote, and what follows it is not read yet
        try:
            while have <= ROW_BYTES_MAX:
                self._check()
                read = self._file.read(_BLOCK_BYTES)
                if not read:
                    return have + 1 if rest else None
                block = rest + read
                found = body.match(block)
                end = found.end() if found is not None else 0
                if end < len(block) - 1:
                    return have + end + 2
                rest = block[end:]
                have += end
            return None
        finally:
            self._file.seek(back)

    def _closed_too_late(self, data: bytes) -> bool:
        """Whether a quote in the first line has swallowed whole rows: each line behind the first is one by itself."""
        lines = data.split(b"\n", _LINES_TRIED + 1)[1 : _LINES_TRIED + 1]
        rows = [self._reader.read_all(line + b"\n") for line in lines if line]
        return bool(rows) and all(
            not row.problem and len(row.cells) == self._column_count for row in rows
        )

    def _judge(self, row: CellRow, data: bytes, line: int) -> RowOfCells | BrokenRow:
        cells: list[tuple[str, bool] | None] = []
        code, message, column = "", "", None
        for index, cell in enumerate(row.cells):
            text = _decode(cell.raw)
            cells.append(None if text is None or "\0" in text else (text, cell.quoted))
            if cells[-1] is None and not code:
                code, column = "encoding", index
                message = "It is not UTF-8." if text is None else "It has a NUL character."
        if row.problem:
            code, message, column = "columns", row.problem, None
        elif len(row.cells) != self._column_count:
            code, column = "columns", None
            message = f"It has {len(row.cells)} columns, not {self._column_count}."
        if code:
            return BrokenRow(data[:_RAW_BYTES], line, code, message, column, tuple(cells))
        return RowOfCells(data, line, tuple(cell for cell in cells if cell is not None))


def _end_lines(piece: bytes) -> bytes:
    """With `\\n` for each `\\r\\n`, and one at the end. (Within quotes a shape accepts neither.)"""
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    return piece if piece.endswith(b"\n") else piece + b"\n"


def _decode(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
