"""JSON Lines as a table: one object a line, each value as it is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from farends.rows.contract import ROW_BYTES_MAX, BadRow, Chunk, Column, Encoding
from farends.rows.json_rows import Encoded, JsonRows
from farends.rows.json_text import JsonText, NotJson, join_objects
from farends.tabular.chunking import ChunkBuilder
from farends.tabular.files import HeldFile
from farends.tabular.tables import FoundColumns, Opened, WantedRows

_PIECE_BYTES = 1 << 20
_RAW_BYTES = (64 << 10) + 1  # one more than is kept of a bad row, so that a cut is seen


@dataclass(frozen=True, slots=True)
class _Line:
    data: bytes
    number: int
    too_large: bool = False


class JsonLinesTable:
    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def find_columns(self, files: Sequence[HeldFile], *, most_bytes: int | None) -> FoundColumns:
        chosen = self._opened.entity.types
        rows = JsonRows(Column(name, kind, kind) for name, kind in chosen.items())
        row_count = 0
        for file in files:
            with closing(self._opened.holder.open(file)) as content:
                read_bytes = 0
                for piece in _read_pieces(content, self._opened.check):
                    encoded, _ = _encode(rows, [one for one in piece if not one.too_large])
                    row_count += len(encoded.rows)
                    read_bytes += sum(len(one.data) for one in piece)
                    if most_bytes is not None and read_bytes >= most_bytes:
                        break
        columns = (
            replace(column, type=chosen.get(column.name, column.type)) for column in rows.columns
        )
        return FoundColumns(tuple(columns), row_count)

    def read(
        self, file: HeldFile, wanted: WantedRows, after: Any | None
    ) -> Generator[Chunk, None, None]:
        names = {column.name for column in wanted.columns}
        rows = JsonRows(wanted.columns, key=wanted.key, takes=names.__contains__)
        builder = ChunkBuilder(file.path, wanted.columns, Encoding.TEXT)
        done = 0 if after is None else int(after["line"])
        with closing(self._opened.holder.open(file)) as content:
            for piece in _read_pieces(content, self._opened.check):
                if piece[-1].number <= done:
                    continue
                _add(builder, file, rows, piece)
                if builder.is_full:
                    yield builder.take({"line": piece[-1].number})
            if not builder.is_empty:
                yield builder.take({"line": None})


def _add(builder: ChunkBuilder, file: HeldFile, rows: JsonRows, piece: Sequence[_Line]) -> None:
    good = [one for one in piece if not one.too_large]
    encoded, lines = _encode(rows, good)
    for row, place in zip(encoded.rows, encoded.places, strict=True):
        builder.add_row(row, lines[place].number)
    told = [(lines[place], bad) for place, bad in encoded.bad]
    told += [(one, _refuse(one)) for one in good if one not in lines]
    told += [(one, _too_large()) for one in piece if one.too_large]
    for one, bad in told:
        raw = one.data[:_RAW_BYTES]
        builder.add_bad(replace(bad, path=file.path, line=one.number, raw=raw))


def _encode(rows: JsonRows, piece: Sequence[_Line]) -> tuple[Encoded, list[_Line]]:
    """The rows of the lines that are JSON, and these lines."""
    lines = list(piece)
    try:
        text = JsonText(join_objects([one.data for one in lines]))
        objects = text.objects(())
        is_one_each = len(objects.rows) + len(objects.strays) == len(lines)
    except NotJson:
        is_one_each = False
    if not is_one_each:  # `{},{}` is no line, though it is whole within a list
        lines = [one for one in lines if _is_json(one.data)]
        text = JsonText(join_objects([one.data for one in lines]))
        objects = text.objects(())
    return rows.encode(objects, text), lines


def _is_json(data: bytes) -> bool:
    try:
        JsonText(data)
    except NotJson:
        return False
    return True


def _refuse(_line: _Line) -> BadRow:
    return BadRow("value", "The line is no JSON.")


def _too_large() -> BadRow:
    return BadRow("too_large", f"The row is larger than {ROW_BYTES_MAX:,} bytes.")


def _read_pieces(content: BinaryIO, check: Callable[[], None]) -> Iterator[list[_Line]]:
    """Lines that are not empty, some at a time."""
    number, size_bytes, lines = 0, 0, list[_Line]()
    while line := content.readline(ROW_BYTES_MAX + 1):
        check()
        number += 1
        too_large = len(line) > ROW_BYTES_MAX
        if too_large:
            line = line[:_RAW_BYTES]
            while (rest := content.readline(_PIECE_BYTES)) and not rest.endswith(b"\n"):
                check()
        if line.strip():
            lines.append(_Line(line.strip(), number, too_large))
            size_bytes += len(line)
        if size_bytes >= _PIECE_BYTES:
            yield lines
            size_bytes, lines = 0, []
    if lines:
        yield lines
