"""Gathers rows into chunks, and remembers from where in which file each row came."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from farends.rows.contract import CHUNK_BYTES, CHUNK_S, BadRow, Chunk, Column, Encoding
from farends.rows.packed import PackedRows

# Two chunks may be held at once, and a row that is asked for makes an object of each.
_CHUNK_BYTES = CHUNK_BYTES // 2
_BAD_ROW_BYTES = 200  # what it costs beside its text


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows in lines that follow each other."""

    index: int  # of its first row in the chunk
    line: int


class LinePlaces(Sequence[tuple[str, int]]):
    """Path and line of each row of a chunk, kept by runs."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._runs: list[_Run] = []
        self._count = 0

    def add(self, line: int, count: int = 1) -> None:
        last = self._runs[-1] if self._runs else None
        if last is None or line != last.line + self._count - last.index:
            self._runs.append(_Run(self._count, line))
        self._count += count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> tuple[str, int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, int]]: ...
    def __getitem__(self, index: int | slice) -> tuple[str, int] | list[tuple[str, int]]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        index %= self._count
        run = self._runs[bisect_right(self._runs, index, key=lambda one: one.index) - 1]
        return self._path, run.line + index - run.index


class ChunkBuilder:
    """The rows of one file that go into the next chunk."""

    def __init__(self, path: str, columns: tuple[Column, ...], encoding: Encoding) -> None:
        self._path = path
        self._columns = columns
        self._encoding = encoding
        self._begin()

    def _begin(self) -> None:
        self._rows = PackedRows()
        self._places = LinePlaces(self._path)
        self._bad: list[BadRow] = []
        self._size_bytes = 0
        self._began_at = time.monotonic()

    @property
    def is_full(self) -> bool:
        if self._size_bytes >= _CHUNK_BYTES:
            return True
        return not self.is_empty and time.monotonic() - self._began_at >= CHUNK_S

    @property
    def is_empty(self) -> bool:
        return not self._rows and not self._bad

    def add_lines(self, lines: bytes, line: int, count: int) -> None:
        """Rows that stand in one line each."""
        self._rows.add(lines, count)
        self._places.add(line, count)
        self._size_bytes += len(lines)

    def add_row(self, row: bytes, line: int) -> None:
        self._rows.add(row)
        self._places.add(line)
        self._size_bytes += len(row)

    def add_bad(self, bad: BadRow) -> None:
        self._bad.append(bad)
        self._size_bytes += len(bad.raw) + _BAD_ROW_BYTES

    def take(self, resume: Any) -> Chunk:
        chunk = Chunk(
            columns=self._columns,
            rows=self._rows,
            encoding=self._encoding,
            resume=resume,
            bad=tuple(self._bad),
            places=self._places,
        )
        self._begin()
        return chunk
