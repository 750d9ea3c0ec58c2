"""Reads written rows again, to show some or to pick those that somebody asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from farends.rows.contract import BadRow, Chunk, Encoding, Reading
from farends.tabular.cells import make_cell_reader
from farends.tabular.printing import print_cell
from farends.tabular.row_shape import Dialect

_PATH, _LINE = "_path", "_line"  # how whoever stages rows of files calls their place
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class FileResume:
    """Behind which chunk a reading goes on: `place` is the format's own."""

    path: str
    place: Any

    @classmethod
    def from_json(cls, given: Mapping[str, Any] | None) -> FileResume | None:
        return None if given is None else cls(given["path"], given["place"])

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "place": self.place}


def read_row(row: bytes, encoding: Encoding) -> list[str | None]:
    """The cells of a row that this package has written; None is NULL."""
    if encoding is Encoding.CSV:
        found = make_cell_reader(Dialect()).read_all(row)
        return [cell.raw.decode() if cell.raw or cell.quoted else None for cell in found.cells]
    cells = row.decode().removesuffix("\n").split("\t")
    return [
        None
        if cell == "\\N"
        else _ESCAPED.sub(lambda found: _LETTERS.get(found[1], found[1]), cell)
        for cell in cells
    ]


def print_row(row: bytes, chunk: Chunk) -> tuple[str | None, ...]:
    """As PostgreSQL would print it."""
    return tuple(
        None if cell is None else print_cell(cell, column.type)
        for cell, column in zip(read_row(row, chunk.encoding), chunk.columns, strict=True)
    )


class KeySet:
    """The rows that are asked for, by their key or by their place."""

    def __init__(self, reading: Reading, keys: Iterable[Mapping[str, str | None]]) -> None:
        wanted = list(keys)
        self._key = reading.key
        self._places = {
            (one[_PATH], int(one[_LINE] or 0)) for one in wanted if _PATH in one and _LINE in one
        }
        self._values = {
            tuple(one[name] for name in reading.key)
            for one in wanted
            if reading.key and all(name in one for name in reading.key)
        }

    def pick(self, chunk: Chunk) -> Chunk | None:
        """The same chunk with these rows alone; None where it has none of them."""
        indexes = [name for name, column in enumerate(chunk.columns) if column.name in self._key]
        kept = [
            index
            for index, (row, place) in enumerate(zip(chunk.rows, chunk.places, strict=True))
            if place in self._places or self._has_key(row, chunk, indexes)
        ]
        bad = tuple(one for one in chunk.bad if self._is_wanted(one))
        if not kept and not bad:
            return None
        return replace(
            chunk,
            rows=[chunk.rows[index] for index in kept],
            places=[chunk.places[index] for index in kept],
            bad=bad,
            resume=None,
        )

    def _is_wanted(self, bad: BadRow) -> bool:
        if (bad.path, bad.line) in self._places:
            return True
        return bad.key is not None and tuple(bad.key[name] for name in self._key) in self._values

    def _has_key(self, row: bytes, chunk: Chunk, indexes: list[int]) -> bool:
        if not self._values:
            return False
        cells = read_row(row, chunk.encoding)
        named = {chunk.columns[index].name: cells[index] for index in indexes}
        return tuple(named.get(name) for name in self._key) in self._values
